"""The sweep removes what nothing refers to any more, and nothing else; by the command line, too."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from labeler_api.objects import Upload
from labeler_api.storage import store_sweep
from labeler_api.storage.sweep import Sweep, SweepReport
from labeler_ops.cli import app
from labeler_ops.storage.sweeping import show
from tests.fixtures.api import Api, Made
from tests.labeler_api.deletion.building import full_dataset, objects_of
from tests.labeler_api.images.pictures import picture, upload
from tests.labeler_api.versions.builders import stored_keys

DATASETS, EXPORTS = "datasets", "annotations"
NOTHING_IS_YOUNG = timedelta(0)


@pytest.fixture
async def api(api: Api) -> Api:
    await api.empty_store()
    for bucket, prefix in ((DATASETS, "datasets/"), (EXPORTS, "exports/")):
        async for unfinished in api.services.objects.unfinished(bucket, prefix):
            await api.services.objects.give_up(bucket, unfinished)
    return api


def orphans(made: Made) -> dict[tuple[str, str], str]:
    """Keys that nothing refers to, and why the sweep takes them."""
    folder, exports = f"datasets/{made.dataset_id}", f"exports/{made.project_id}"
    return {
        (DATASETS, f"{folder}/images/never/got a row.jpg"): "no image has it",
        (DATASETS, f"{folder}/thumbnails/replaced.0011aabb.jpg"): "no image has it as its thumbnail",
        (DATASETS, "datasets/ds_gone/images/a.jpg"): "its dataset is deleted",
        (DATASETS, "datasets/ds_gone/annotations_detection.json"): "its dataset is deleted",
        (EXPORTS, f"{exports}/detection/v9.0/annotations.json"): "no version has it",
        (EXPORTS, "exports/proj_gone/detection/v1.0/annotations.json"): "its project is deleted",
    }


def kept(made: Made) -> list[tuple[str, str]]:
    """Keys that nothing refers to either, and that are not the sweep's to take."""
    return [
        (DATASETS, f"datasets/{made.dataset_id}/annotations_segmentation.json"),
        (DATASETS, f"datasets/{made.dataset_id}/something of others"),
        (DATASETS, "backups/ds_gone/backup_20261122_101112.rows.jsonl.gz"),
        (EXPORTS, f"exports/{made.project_id}/detection/export_20261122_101112/annotations.json"),
        (EXPORTS, "exports/of another form"),
    ]


async def put_all(api: Api, keys: list[tuple[str, str]]) -> None:
    put = api.services.objects.put
    await asyncio.gather(*(put(bucket, key, b"0123456789", "text/plain") for bucket, key in keys))


async def swept(api: Api, age: timedelta = NOTHING_IS_YOUNG, *, remove: bool = True) -> SweepReport:
    services = api.services
    return await Sweep(services.db, services.objects, services.settings, minimum_age=age).run(remove=remove)


async def everything(api: Api) -> set[tuple[str, str]]:
    return {(bucket, key) for bucket in (DATASETS, EXPORTS) for key in await stored_keys(api, bucket, "")}


async def begin_upload(api: Api, key: str) -> None:
    """Leave parts behind, as a process that dies does."""
    upload = Upload(api.services.objects._client, DATASETS, key, {"ContentType": "image/jpeg"})
    await upload.write(bytes(8 * 1024 * 1024))


async def test_orphans_go_and_all_else_stays(api: Api) -> None:
    made = await full_dataset(api)
    used = await objects_of(api, made)
    wanted = orphans(made)
    await put_all(api, [*wanted, *kept(made)])
    await begin_upload(api, f"datasets/{made.dataset_id}/images/huge.tif")
    before = await everything(api)

    young = await swept(api, timedelta(hours=1))
    assert (young.examined > 0, young.found, young.removed) == (True, {}, 0)

    told = await swept(api, remove=False)
    found = {reason: list(wanted.values()).count(reason) for reason in wanted.values()}
    found["begun in parts and never finished"] = 1
    assert {reason: entry.objects for reason, entry in told.found.items()} == found
    assert told.found["its dataset is deleted"].size_bytes == 20
    assert told.removed == 0
    assert await everything(api) == before

    with api.count() as statements:
        report = await swept(api)
    assert report.removed == len(wanted) + 1
    # A few for each dataset, none for each object; and one for each call that deletes, which reads the database's id.
    assert statements.value <= 10
    assert await everything(api) == before - set(wanted)
    assert set(used) <= set(await objects_of(api, made))
    assert (await swept(api)).found == {}


async def test_an_object_that_was_put_anew_is_left_alone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload of the same path, between the look at the rows and the removal."""
    made = await api.dataset()
    key = f"datasets/{made.dataset_id}/images/again.jpg"
    await put_all(api, [(DATASETS, key)])
    held = store_sweep.held

    async def then_put(*arguments: Any) -> set[str]:
        found = await held(*arguments)
        await api.services.objects.put(DATASETS, key, b"another picture", "image/jpeg")
        return found

    monkeypatch.setattr(store_sweep, "held", then_put)
    report = await swept(api)
    assert (report.found["no image has it"].objects, report.removed) == (1, 0)
    assert (DATASETS, key) in await everything(api)


async def test_legacy_images_in_the_folder_of_another_dataset_protect_it(api: Api) -> None:
    made = await api.dataset(images=1)
    await put_all(api, [(DATASETS, "datasets/ds_parent/images/a.jpg"), (DATASETS, "datasets/ds_parent/images/b.jpg")])
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET s3_key = 'datasets/ds_parent/images/a.jpg'")
        await tx.execute("UPDATE image_metadata SET thumbnail_key = NULL WHERE dataset_id = $1", made.dataset_id)
    report = await swept(api)
    assert await stored_keys(api, DATASETS, "datasets/") == ["datasets/ds_parent/images/a.jpg"], report


async def test_what_waits_for_its_removal_is_no_orphan(api: Api) -> None:
    """A dataset that is uploaded anew must not look like one whose rows are lost."""
    made = await api.dataset()
    owner = await api.login("owner")
    for colour in ("red", "blue"):
        assert (await upload(owner, made, ("a.jpg", picture(colour=colour)))).status_code == 200
    before = await everything(api)
    assert len({key for _, key in before if key.startswith("datasets/")}) == 4
    report = await swept(api)
    assert (report.found, report.removed, await everything(api)) == ({}, 0, before)


def command(api: Api, *arguments: str, **variables: str) -> Result:
    """Run the command in this process, in a thread of its own: it has an event loop of its own."""
    settings = api.services.settings
    environment = {
        "LABELER_DB_URL": settings.labeler_db_url,
        "S3_ENDPOINT": settings.s3_endpoint,
        "S3_ACCESS_KEY": settings.s3_access_key,
        "S3_SECRET_KEY": settings.s3_secret_key,
        **variables,
    }
    return CliRunner().invoke(app, ["storage", "sweep", *arguments], env=environment)


async def test_the_command_line(api: Api) -> None:
    made = await full_dataset(api)
    told = await asyncio.to_thread(command, api, "--dry-run")
    assert (told.exit_code, told.stdout) == (0, "8 objects examined, none of them orphaned.\n")
    done = await asyncio.to_thread(command, api, "--json")
    report = msgspec.json.decode(done.stdout)
    assert (done.exit_code, report["dry_run"], report["examined"], report["found"]) == (0, False, 8, {})
    away = await asyncio.to_thread(command, api, "--dry-run", S3_ENDPOINT="http://127.0.0.1:1")
    assert (away.exit_code, isinstance(away.exception, SystemExit)) == (1, True)
    assert "object store is not available" in away.stderr
    too_young = await asyncio.to_thread(command, api, "--min-age-hours", "0")
    assert too_young.exit_code == 2
    assert len(await objects_of(api, made)) == 8


def test_the_report_names_reasons_sizes_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    report = SweepReport(examined=1_234)
    for number in range(25):
        report.note("no image has it", DATASETS, f"datasets/ds_1/images/{number}.jpg", 1_000_000)
    show(report, Console(width=100), dry_run=True)
    out = capsys.readouterr().out
    assert "no image has it        25  25.0 MB" in out
    assert "datasets/datasets/ds_1/images/0.jpg: no image has it" in out
    assert "… and 5 more" in out
    assert "1,234 objects examined, 25 would be removed; run it without --dry-run." in out
