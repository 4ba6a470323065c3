"""Deleted images keep their objects for as long as they can come back, or a version needs them; then they go."""

from datetime import timedelta

import msgspec

from labeler_api.app import JOB_HANDLERS, PERIODIC_JOBS
from labeler_api.deletion.images import image_purge
from labeler_api.images import removal
from labeler_api.jobs import worker as jobs
from tests.fixtures.annotating import box, create_annotation, leave
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import media_path, noise, picture, stored_keys, upload
from tests.fixtures.rows import rows
from tests.fixtures.sweeps import swept
from tests.labeler_api.deletion.test_images import deleted, restore

FOLDERS = ("images", "thumbnails", "renditions")


async def gallery(api: Api) -> Dataset:
    """A TIFF, which has a rendition, and a JPEG."""
    dataset = await api.dataset(tasks=["detection"], members={"annotator": "annotator"})
    owner = await api.login("owner")
    answer = await upload(owner, dataset, ("a/1.tiff", picture(kind="TIFF")), ("a/2.jpg", noise(64, 48)))
    assert answer.json()["images_uploaded"] == 2
    dataset.image_ids = ["a/1", "a/2"]
    assert [len(await stored_keys(api, dataset, folder)) for folder in FOLDERS] == [2, 2, 1]
    return dataset


async def days_pass(api: Api, days: int = 30) -> None:
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE deleted_images SET deleted_at = deleted_at - $1::interval,"
            " restorable_until = restorable_until - $1::interval, purge_after = purge_after - $1::interval",
            timedelta(days=days),
        )


async def removals(api: Api) -> None:
    """Do what the queue will do in a day."""
    for row in await rows(api, "SELECT payload FROM pgqueuer WHERE entrypoint = $1", removal.KIND):
        keys = msgspec.json.decode(row["payload"], type=removal.Removal)
        await removal.handle(api.services, msgspec.json.encode(keys))


async def counts(api: Api, dataset: Dataset) -> list[int]:
    return [len(await stored_keys(api, dataset, folder)) for folder in FOLDERS]


async def test_it_is_looked_at_every_day() -> None:
    assert JOB_HANDLERS[image_purge.KIND] is image_purge.handle
    assert jobs.Periodic(image_purge.KIND, image_purge.FIRST_AFTER) in PERIODIC_JOBS


async def test_the_objects_go_when_nobody_can_bring_it_back(api: Api) -> None:
    dataset = await gallery(api)
    await deleted(await api.login("owner"), dataset, 0, 1)
    assert await image_purge.handle(api.services, b"") == timedelta(days=1)
    await days_pass(api, 29)
    await image_purge.handle(api.services, b"")
    await removals(api)
    assert await counts(api, dataset) == [2, 2, 1]
    assert len(await rows(api, "SELECT 1 FROM deleted_images")) == 2
    await days_pass(api, 1)
    await image_purge.handle(api.services, b"")
    assert await rows(api, "SELECT 1 FROM deleted_images") == []
    assert await counts(api, dataset) == [2, 2, 1]  # for as long as a link lives
    await removals(api)
    assert await counts(api, dataset) == [0, 0, 0]


async def test_what_came_back_in_the_last_hour_keeps_its_objects(api: Api) -> None:
    dataset = await gallery(api)
    owner = await api.login("owner")
    ids = await deleted(owner, dataset, 0, 1)
    await days_pass(api, 29)
    assert (await restore(owner, dataset, *ids)).status_code == 200
    await days_pass(api, 30)
    await image_purge.handle(api.services, b"")
    await removals(api)
    assert await counts(api, dataset) == [2, 2, 1]
    listed = await owner.get(f"/api/v1/projects/{dataset.project_id}/images")
    for image in listed.json()["images"]:
        assert (await api.client().get(media_path(image["url"]))).status_code == 200


async def test_a_version_keeps_the_pictures_that_it_is_about(api: Api) -> None:
    dataset = await gallery(api)
    owner, annotator = await api.login("owner"), await api.login("annotator")
    await create_annotation(annotator, box(dataset, 1))
    await leave(api, dataset, "annotator", 1)
    body = {"task_type": "detection", "export_format": "coco", "include_draft": True}
    published = await owner.post(f"/api/v1/projects/{dataset.project_id}/versions/publish", json=body)
    link = media_path(published.json()["download_url"])
    before = (await api.client().get(link)).content
    (_, deletion) = await deleted(owner, dataset, 0, 1)
    assert (await api.client().get(link)).content == before
    await days_pass(api)
    await image_purge.handle(api.services, b"")
    await removals(api)
    assert await counts(api, dataset) == [1, 1, 0]
    listed = await owner.get(f"/api/v1/datasets/{dataset.id}/images/deleted")
    (one,) = listed.json()["images"]
    assert one["deletion_id"] == deletion
    assert one["image_id"] == "a/2"
    assert one["is_restorable"] is False
    assert (await api.client().get(media_path(one["url"]))).status_code == 200
    assert (await api.client().get(link)).content == before
    assert await rows(api, "SELECT 1 FROM deleted_image_rows") == []
    assert (await restore(owner, dataset, deletion)).status_code == 404
    # Versions go with their project, and then nothing needs it any more.
    assert (await owner.delete(f"/api/v1/projects/{dataset.project_id}")).status_code == 204
    await days_pass(api)
    await image_purge.handle(api.services, b"")
    await removals(api)
    assert await counts(api, dataset) == [0, 0, 0]


async def test_the_sweep_leaves_them_alone(api: Api) -> None:
    dataset = await gallery(api)
    await deleted(await api.login("owner"), dataset, 0, 1)
    report = await swept(api)
    assert not [line for line in report.examples if dataset.id in line]
    async with api.db.begin() as tx:
        await tx.execute("DELETE FROM deleted_images")
    report = await swept(api)
    assert len([line for line in report.examples if dataset.id in line]) == 5


async def test_a_removal_of_before_leaves_them_alone(api: Api) -> None:
    """Legacy images may share an object: one is replaced, the other lies in the bin."""
    dataset = await gallery(api)
    await deleted(await api.login("owner"), dataset, 0, 1)
    keys = [row["s3_key"] for row in await rows(api, "SELECT s3_key FROM deleted_images")]
    await removal.handle(api.services, msgspec.json.encode(removal.Removal(keys)))
    assert await counts(api, dataset) == [2, 2, 1]
