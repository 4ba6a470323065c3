"""The sweep removes what nothing refers to any more, in two steps and never much at once, and nothing else."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from typing import Any

import pytest

from labeler_api.errors import Unavailable
from labeler_api.object_store.bucket_ownership import KEY
from labeler_api.object_store.objects import ObjectStore
from labeler_api.storage.orphans import store as orphans_store
from labeler_api.storage.orphans import sweep
from labeler_api.storage.orphans.sweep import Sweep
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.bucket_tie import adopt
from tests.fixtures.api import Api
from tests.fixtures.full_dataset import full_dataset, objects_of
from tests.fixtures.pictures import picture, upload
from tests.fixtures.sweeps import (
    DATASETS,
    EXPORTS,
    begin_upload,
    counted,
    environment,
    everything,
    kept,
    on_the_list,
    orphans,
    put_all,
    put_many,
    swept,
    week_passes,
)
from tests.fixtures.versions import stored_keys


async def test_orphans_are_listed_go_a_week_later_and_all_else_stays(api: Api) -> None:
    dataset = await full_dataset(api)
    used = await objects_of(api, dataset)
    wanted = orphans(dataset)
    await put_all(api, [*wanted, *kept(dataset)])
    await begin_upload(api, f"datasets/{dataset.id}/images/huge.tif")
    before = await everything(api)

    young = await swept(api, timedelta(hours=1))
    assert young.examined > 0
    assert young.found == {}
    assert young.removed == 0
    assert young.listed == 0

    told = await swept(api, remove=False)
    found = {reason: list(wanted.values()).count(reason) for reason in wanted.values()}
    found["begun in parts and never finished"] = 1
    assert {reason: entry.objects for reason, entry in told.found.items()} == found
    assert told.found["its dataset is deleted"].size_bytes == 20
    assert told.removed == 0
    assert told.listed == 0
    assert await on_the_list(api) == 0

    number = len(wanted) + 1
    with api.count() as statements:
        first = await swept(api)
    assert first.listed == number
    assert first.removed == 0
    assert first.waiting == number
    assert first.due == 0
    assert statements.value <= 22  # a few for each folder and list, none for each object
    assert await everything(api) == before

    await week_passes(api, 6.9)
    early = await swept(api)
    assert early.listed == 0
    assert early.removed == 0
    assert early.waiting == number
    assert await everything(api) == before

    await week_passes(api, 0.1)
    last = await swept(api)
    assert last.due == number
    assert last.removed == number
    assert last.stopped is None
    assert await everything(api) == before - set(wanted)
    assert set(used) <= set(await objects_of(api, dataset))
    assert (await swept(api)).found == {}
    assert await on_the_list(api) == 0
    assert counted(api, "sweep_objects_total", what="listed") == counted(api, "sweep_objects_total", what="removed")
    assert counted(api, "sweep_objects_total", what="removed") == number


async def test_what_is_found_only_once_never_goes(api: Api) -> None:
    """Between two sweeps the row came back, as by a restored backup; later it goes again: the week begins anew."""
    dataset = await api.dataset(images=1)
    key = f"datasets/{dataset.id}/images/{dataset.image_ids[0]}.jpg"
    await put_all(api, [(DATASETS, key)])
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET s3_key = 'elsewhere'")
    assert (await swept(api)).listed == 1
    await week_passes(api)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET s3_key = $1", key)
    assert (await swept(api)).removed == 0
    assert await on_the_list(api) == 0
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET s3_key = 'elsewhere'")
    again = await swept(api)
    assert again.listed == 1
    assert again.removed == 0
    assert (DATASETS, key) in await everything(api)


async def test_an_object_that_was_written_anew_waits_anew(api: Api) -> None:
    dataset = await api.dataset()
    key = f"datasets/{dataset.id}/images/again.jpg"
    await put_all(api, [(DATASETS, key)])
    assert (await swept(api)).listed == 1
    await week_passes(api)
    await asyncio.sleep(1.1)  # the store's clock of objects shows whole seconds
    await put_all(api, [(DATASETS, key)])  # the same bytes: the same ETag, at another time
    report = await swept(api)
    assert report.listed == 1
    assert report.removed == 0
    assert await on_the_list(api) == 1
    assert (DATASETS, key) in await everything(api)


async def test_an_object_that_is_put_between_the_walk_and_the_removal_is_left_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await api.dataset()
    key = f"datasets/{dataset.id}/images/again.jpg"
    await put_all(api, [(DATASETS, key)])
    await swept(api)
    await week_passes(api)
    held = orphans_store.held

    async def then_put(*arguments: Any) -> set[str]:
        found = await held(*arguments)
        await api.services.objects.put(DATASETS, key, b"another picture", "image/jpeg")
        return found

    monkeypatch.setattr(orphans_store, "held", then_put)
    report = await swept(api)
    assert report.due == 1
    assert report.removed == 0
    assert (DATASETS, key) in await everything(api)


async def test_a_row_that_comes_between_the_walk_and_the_removal_keeps_its_object(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await api.dataset(images=1)
    key = f"datasets/{dataset.id}/images/late.jpg"
    await put_all(api, [(DATASETS, key)])
    await swept(api)
    await week_passes(api)
    remove = Sweep._remove

    async def then_remove(self: Sweep, allowed: int | None) -> None:
        async with api.db.begin() as tx:
            await tx.execute("UPDATE image_metadata SET s3_key = $1", key)
        await remove(self, allowed)

    monkeypatch.setattr(Sweep, "_remove", then_remove)
    report = await swept(api)
    assert report.due == 1
    assert report.removed == 0
    assert await on_the_list(api) == 0
    assert (DATASETS, key) in await everything(api)


async def test_more_than_a_share_is_not_removed_without_a_word(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 150 objects, 100 may go; 101 may not, and neither may a hundred of them."""
    keys = await put_many(api, 101)
    dataset = await api.dataset(images=49)
    await put_all(api, [(DATASETS, f"datasets/{dataset.id}/images/{image}.jpg") for image in dataset.image_ids])
    await swept(api)
    await week_passes(api)
    stopped = await swept(api)
    assert stopped.due == 101
    assert stopped.removed == 0
    assert stopped.stopped is not None
    assert "101 of 150 objects of datasets are due, more than the 100" in stopped.stopped
    assert "--remove --yes-remove 101" in stopped.stopped
    assert counted(api, "sweep_stops_total") == 1
    for word in (1, 100, 102, 10_000):
        wrong = await swept(api, allowed=word)
        assert wrong.removed == 0
        assert "--yes-remove 101" in (wrong.stopped or "")
    assert keys <= set(await stored_keys(api, DATASETS, "datasets/"))

    monkeypatch.setattr(sweep, "ALWAYS", 0)
    monkeypatch.setattr(sweep, "SHARE", 2)  # 75 of the 150
    assert (await swept(api)).removed == 0
    monkeypatch.setattr(sweep, "ALWAYS", 100)
    done = await swept(api, allowed=101)
    assert done.removed == 101
    assert done.stopped is None
    assert len(await stored_keys(api, DATASETS, "datasets/")) == 49


async def test_a_share_goes_by_itself(api: Api) -> None:
    await put_many(api, 100)
    await swept(api)
    await week_passes(api)
    report = await swept(api)
    assert report.due == 100
    assert report.removed == 100
    assert report.stopped is None


@pytest.mark.parametrize(("number", "goes"), [(2, True), (3, False)])
async def test_the_share_is_a_hundredth(api: Api, monkeypatch: pytest.MonkeyPatch, number: int, goes: bool) -> None:
    monkeypatch.setattr(sweep, "ALWAYS", 0)
    await put_many(api, number)
    dataset = await api.dataset()
    others = [(DATASETS, f"datasets/{dataset.id}/others/{one}") for one in range(200 - number)]
    for start in range(0, len(others), 50):
        await put_all(api, others[start : start + 50])
    await swept(api)
    await week_passes(api)
    report = await swept(api)
    assert report.examined == 200
    assert report.due == number
    assert report.removed == (number if goes else 0)


async def test_the_share_is_of_each_bucket(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "ALWAYS", 0)
    monkeypatch.setattr(sweep, "SHARE", 2)
    await put_all(api, [(EXPORTS, f"exports/proj_gone/detection/v{n}.0/a.json") for n in range(3)])
    await put_all(api, [(EXPORTS, f"exports/{n}") for n in range(2)])
    dataset = await api.dataset()
    await put_all(api, [(DATASETS, f"datasets/{dataset.id}/others/{n}") for n in range(5)])
    await swept(api)
    await week_passes(api)
    report = await swept(api)
    assert report.examined == 10
    assert report.due == 3
    assert report.removed == 0
    assert "3 of 5 objects of annotations are due, more than the 2" in (report.stopped or "")


async def test_the_list_has_an_end_and_whoever_reaches_it_is_stopped(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "LISTED_AT_MOST", 10)
    await put_many(api, 15)
    first = await swept(api)
    assert first.listed == 10
    assert first.unlisted == 5
    assert await on_the_list(api) == 10
    await week_passes(api)
    second = await swept(api)
    assert second.due == 10
    assert second.unlisted == 5
    assert second.removed == 0
    assert "5 orphans have no room on the list" in (second.stopped or "")
    assert (await swept(api, allowed=10)).removed == 10
    assert (await swept(api)).listed == 5


async def test_without_a_tie_nothing_is_even_listed(api: Api) -> None:
    await put_many(api, 3)
    await swept(api)
    await week_passes(api)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE labeler_identity SET id = gen_random_uuid()")
    with pytest.raises(Unavailable, match="belongs to the database"):
        await swept(api)
    with pytest.raises(Unavailable, match="belongs to the database"):
        await sweep.handle(api.services, b"")
    assert len(await stored_keys(api, DATASETS, "datasets/")) == 3
    async with api.db.read() as connection:
        seen = "SELECT count(*) FROM orphaned_objects WHERE seen_at > now() - interval '6 days'"
        assert await connection.fetchval(seen) == 0


async def test_an_empty_database_that_is_pointed_at_others_buckets_takes_nothing(api: Api) -> None:
    """The fault itself: an API on a database of its own, a week and a day on, with the buckets of production."""
    dataset = await full_dataset(api)
    before = await everything(api)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE labeler_identity SET id = gen_random_uuid()")
        await tx.execute("DELETE FROM datasets")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await sweep.handle(api.services, b"")
        await week_passes(api)
    assert await everything(api) == before
    assert dataset.id


async def test_a_tie_that_goes_in_the_middle_ends_the_removal(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_DELETED_AT_ONCE", 10)
    await put_many(api, 25)
    await swept(api)
    await week_passes(api)
    delete_many = ObjectStore.delete_many

    async def then_untie(self: ObjectStore, bucket: str, keys: Any) -> None:
        await delete_many(self, bucket, keys)
        await self._client.delete_object(Bucket=bucket, Key=KEY)

    monkeypatch.setattr(ObjectStore, "delete_many", then_untie)
    settings = api.services.settings
    try:
        with pytest.raises(Unavailable, match=KEY):
            await swept(api)
        assert len(await stored_keys(api, DATASETS, "datasets/")) == 15
    finally:
        access = StorageAccess(settings.s3_endpoint, settings.s3_access_key, settings.s3_secret_key)
        await adopt(settings.labeler_db_url, access)
    monkeypatch.setattr(ObjectStore, "delete_many", delete_many)
    assert (await swept(api)).removed == 15


async def test_two_sweeps_side_by_side_remove_each_object_once(api: Api) -> None:
    await put_many(api, 60)
    listed = await asyncio.gather(*(swept(api) for _ in range(3)))
    assert sum(report.listed for report in listed) >= 60
    assert await on_the_list(api) == 60
    await week_passes(api)
    reports = await asyncio.gather(*(swept(api) for _ in range(3)))
    assert {report.stopped for report in reports} == {None}
    assert await stored_keys(api, DATASETS, "datasets/") == []
    assert (await swept(api)).found == {}
    assert await on_the_list(api) == 0


_KILLED_IN_THE_MIDDLE = """
import asyncio, os, signal
from contextlib import AsyncExitStack
from datetime import timedelta
from labeler_api.settings import load
from labeler_api.storage.orphans import sweep
from labeler_ops.storage.bucket_tie import open_tie

async def main():
    async with AsyncExitStack() as stack:
        settings = load()
        sides = await open_tie(settings, stack)
        walk = sweep.Sweep(sides.db, sides.objects, settings, minimum_age=timedelta(0))
        sweep._DELETED_AT_ONCE = 10
        async def die(*_):
            os.kill(os.getpid(), signal.SIGKILL)
        setattr(walk, os.environ["DIES_AT"], die)
        await walk.run(remove=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(("dies_at", "left"), [("_remove", 25), ("_drop", 15)])
async def test_a_sweep_that_is_killed_is_finished_by_the_next(api: Api, dies_at: str, left: int) -> None:
    """Between listing and removing, and between removing and taking off the list."""
    await put_many(api, 25)
    await swept(api)
    await week_passes(api)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _KILLED_IN_THE_MIDDLE,
        env={"PATH": os.environ["PATH"], "DIES_AT": dies_at, **environment(api)},
    )
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    assert len(await stored_keys(api, DATASETS, "datasets/")) == left
    assert (await swept(api)).removed == left
    assert await stored_keys(api, DATASETS, "datasets/") == []
    assert await on_the_list(api) == 0


async def test_what_waits_for_its_removal_is_no_orphan(api: Api) -> None:
    """A dataset that is uploaded anew must not look like one whose rows are lost."""
    dataset = await api.dataset()
    owner = await api.login("owner")
    for colour in ("red", "blue"):
        assert (await upload(owner, dataset, ("a.jpg", picture(colour=colour)))).status_code == 200
    before = await everything(api)
    assert len({key for _, key in before if key.startswith("datasets/")}) == 4
    report = await swept(api)
    assert report.found == {}
    assert report.listed == 0
    assert await everything(api) == before


async def test_a_rendition_is_its_images_own_and_an_orphan_without_it(api: Api) -> None:
    dataset = await api.dataset()
    tiff = picture(kind="TIFF")
    assert (await upload(await api.login("owner"), dataset, ("a.tif", tiff))).json()["images_uploaded"] == 1
    assert (await swept(api, remove=False)).found == {}
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET rendition_key = NULL")
    [orphan] = (await swept(api, remove=False)).examples
    assert orphan.startswith(f"{DATASETS}/datasets/{dataset.id}/renditions/a.")
    assert orphan.endswith(".tif.jpg: no image has it as its rendition")


async def test_legacy_images_in_the_folder_of_another_dataset_protect_it(api: Api) -> None:
    dataset = await api.dataset(images=1)
    await put_all(api, [(DATASETS, "datasets/ds_parent/images/a.jpg"), (DATASETS, "datasets/ds_parent/images/b.jpg")])
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET s3_key = 'datasets/ds_parent/images/a.jpg'")
        await tx.execute("UPDATE image_metadata SET thumbnail_key = NULL WHERE dataset_id = $1", dataset.id)
    report = await swept(api, remove=False)
    assert report.examples == ["datasets/datasets/ds_parent/images/b.jpg: no image has it"]
