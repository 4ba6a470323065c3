"""An upload over an image that is there: the old image or the new one, whole, whatever happens meanwhile."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from labeler_api.images import removal
from labeler_ops.maintenance import fence
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.accounts import VIEWER
from tests.fixtures.api import Api, storage_environment
from tests.fixtures.cut_uploads import FORM, PART, running
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import archive, counters, image_rows, media_path, picture, stored_keys, upload
from tests.fixtures.relay import Relay
from tests.fixtures.users import RunningGateway
from tests.labeler_api.images.test_faults import must_be_503

OLD, NEW = picture(40, 30, colour="red"), picture(50, 20, colour="blue")

Meanwhile = Callable[[], Awaitable[Any]]


async def put_over(client: httpx.AsyncClient, dataset: Dataset, meanwhile: Meanwhile) -> httpx.Response:
    """Upload NEW as a.jpg; `meanwhile` happens when all of its bytes are there, but for the end of the form."""

    async def form() -> AsyncIterator[bytes]:
        yield PART % b"a.jpg" + NEW + b"\r\n" + PART % b"never.txt"
        await meanwhile()
        yield b"no picture\r\n--x--\r\n"

    return await client.post(f"/api/v1/datasets/{dataset.id}/images", content=form(), headers=FORM)


async def content_of(api: Api, dataset: Dataset, image_id: str = "a") -> bytes:
    """The bytes of an image, which are those that its row describes."""
    row = (await image_rows(api, dataset))[image_id]
    async with api.services.objects.open("datasets", row["s3_key"]) as stream:
        content = await stream.read()
    assert row["size"] == len(content)
    assert row["content_sha256"] == hashlib.sha256(content).hexdigest()
    async with api.services.objects.open("datasets", row["thumbnail_key"]) as stream:
        assert len(await stream.read()) > 0
    return content


async def one_image(api: Api, **options: Any) -> Dataset:
    dataset = await api.dataset(**options)
    assert (await upload(await api.login("owner"), dataset, ("a.jpg", OLD))).status_code == 200
    return dataset


async def removals(api: Api) -> list[tuple[timedelta, removal.Removal]]:
    """The removals that wait in the queue, and how long from when they were ordered."""
    async with api.db.read() as connection:
        found = await connection.fetch(
            "SELECT execute_after - created AS wait, payload FROM pgqueuer WHERE entrypoint = $1 ORDER BY id",
            removal.KIND,
        )
    return [(row["wait"], msgspec.json.decode(row["payload"], type=removal.Removal)) for row in found]


async def run_removals(api: Api) -> None:
    """Do what waits, as if its time had come."""
    for _, one in await removals(api):
        await removal.handle(api.services, msgspec.json.encode(one))


async def test_an_uploader_who_is_removed_meanwhile_changes_nothing(api: Api) -> None:
    dataset = await one_image(api, members={"viewer": "admin"})
    before = await image_rows(api, dataset)

    async def leave() -> None:
        async with api.db.begin() as tx:
            await tx.execute(
                f"DELETE FROM project_permissions WHERE project_id = $1 AND user_id = {VIEWER.id}", dataset.project_id
            )

    answer = await put_over(await api.login("viewer"), dataset, leave)
    assert answer.status_code == 404
    assert await image_rows(api, dataset) == before
    assert await content_of(api, dataset) == OLD


async def test_maintenance_that_begins_meanwhile_changes_nothing(api: Api, labeler_dsn: str) -> None:
    dataset = await one_image(api)
    before = await image_rows(api, dataset)

    async def begin() -> None:
        await fence.on(labeler_dsn, reason="a test", by="test")

    try:
        must_be_503(await put_over(await api.login("owner"), dataset, begin), "maintenance")
    finally:
        await fence.off(labeler_dsn, by="test")
    assert await image_rows(api, dataset) == before
    assert await content_of(api, dataset) == OLD


async def test_a_database_that_goes_away_meanwhile_changes_nothing(
    labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer
) -> None:
    parts = urlsplit(labeler_dsn)
    assert parts.port
    async with Relay(parts.port) as wire:
        dsn = labeler_dsn.replace(f":{parts.port}/", f":{wire.port}/")
        async with running(dsn, gateway, storage_environment(object_store)) as api:
            dataset = await one_image(api)
            before = await image_rows(api, dataset)
            must_be_503(await put_over(await api.login("owner"), dataset, wire.cut), "database_unavailable")
            await wire.restore()
            assert await image_rows(api, dataset) == before
            assert await content_of(api, dataset) == OLD


async def test_a_replaced_object_stays_for_as_long_as_links_to_it_may(api: Api) -> None:
    dataset = await one_image(api)
    old = (await image_rows(api, dataset))["a"]
    await upload(await api.login("owner"), dataset, ("a.jpg", NEW))
    new = (await image_rows(api, dataset))["a"]
    assert await content_of(api, dataset) == NEW
    assert len(await stored_keys(api, dataset, "images")) == len(await stored_keys(api, dataset, "thumbnails")) == 2
    [(wait, order)] = await removals(api)
    assert wait >= timedelta(hours=24)
    assert sorted(order.keys) == sorted([old["s3_key"], old["thumbnail_key"]])

    await run_removals(api)
    assert await stored_keys(api, dataset, "images") == [new["s3_key"].partition("/images/")[2]]
    assert await stored_keys(api, dataset, "thumbnails") == [new["thumbnail_key"].partition("/thumbnails/")[2]]
    assert await content_of(api, dataset) == NEW
    await run_removals(api)  # a job may be done twice


async def test_an_object_that_a_row_refers_to_again_is_not_removed(api: Api) -> None:
    """As after a database was put back, or in legacy data, where two images may share an object."""
    dataset = await one_image(api)
    old = (await image_rows(api, dataset))["a"]
    await upload(await api.login("owner"), dataset, ("a.jpg", NEW))
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, size) VALUES ($1, 'b', 'b.jpg', $2, 1)",
            (await api.dataset()).id,
            old["s3_key"],
        )
    await run_removals(api)
    assert len(await stored_keys(api, dataset, "images")) == 2
    assert len(await stored_keys(api, dataset, "thumbnails")) == 1
    async with api.db.begin() as tx:  # set aside by the upgrade is referred to as well
        await tx.execute("DELETE FROM image_metadata WHERE id = 'b'")
        await tx.execute(
            "INSERT INTO quarantine_image_metadata (reason, row) VALUES ('x', jsonb_build_object('s3_key', $1::text))",
            old["s3_key"],
        )
    await run_removals(api)
    assert len(await stored_keys(api, dataset, "images")) == 2


async def test_every_object_of_a_request_that_no_row_has_is_ordered_away(api: Api) -> None:
    """Of one path twice in a request the earlier, and of an image whose id is another's."""
    dataset = await api.dataset()
    owner = await api.login("owner")
    await upload(owner, dataset, ("a.jpg", OLD), ("a.png.jpg", OLD))
    answer = (await upload(owner, dataset, ("b.jpg", OLD), ("b.jpg", NEW), ("a.png", picture(kind="PNG")))).json()
    assert [(one["filename"]) for one in answer["failed"]] == ["a.png"]
    await run_removals(api)
    found = await image_rows(api, dataset)
    assert sorted(found) == ["a", "a.png", "b"]
    assert await content_of(api, dataset, "b") == NEW
    for folder, column in (("images", "s3_key"), ("thumbnails", "thumbnail_key")):
        kept = sorted(row[column].partition(f"/{folder}/")[2] for row in found.values())
        assert sorted(await stored_keys(api, dataset, folder)) == kept


async def test_a_legacy_image_is_found_by_its_path_and_keeps_its_id(api: Api) -> None:
    dataset = await api.dataset(images=1)
    [legacy] = (await image_rows(api, dataset)).values()
    await api.services.objects.put("datasets", legacy["s3_key"], OLD, "image/jpeg")
    answer = (await upload(await api.login("owner"), dataset, ("train/good/0000.jpg", NEW))).json()
    assert [(image["id"], image["replaced"]) for image in answer["images"]] == [("train/good/0000", True)]
    assert await content_of(api, dataset, "train/good/0000") == NEW
    counted = await counters(api, dataset)
    assert counted.of_dataset == 1
    assert counted.of_project == 1
    async with api.services.objects.open("datasets", legacy["s3_key"]) as stream:
        assert await stream.read() == OLD


async def test_two_uploads_never_share_a_key(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    seen = set()
    for colour in ("red", "green", "red"):
        await upload(owner, dataset, ("한글/a.b.jpg", picture(9, 9, colour=colour)))
        row = (await image_rows(api, dataset))["한글/a.b"]
        assert row["folder_path"] == "한글"
        assert row["file_name"] == "a.b.jpg"
        assert row["s3_key"].startswith(f"datasets/{dataset.id}/images/한글/a.b.")
        assert row["s3_key"].endswith(".jpg")
        seen.add(row["s3_key"])
    assert len(seen) == 3


@pytest.mark.parametrize("name", ["x" * 251 + ".jpg", "한" * 250 + ".jpg", "x." + "y" * 250, "d/" * 100 + "x" * 50])
async def test_the_longest_names_have_keys_that_every_store_takes(api: Api, name: str) -> None:
    """MinIO keeps each segment as a file's name, which may have 255 bytes."""
    dataset = await api.dataset()
    answer = (await upload(await api.login("owner"), dataset, (name, OLD))).json()
    assert answer["failed"] == []
    [row] = (await image_rows(api, dataset)).values()
    for key in (row["s3_key"], row["thumbnail_key"]):
        assert max(len(segment.encode()) for segment in key.split("/")) <= 255
    listed = (await (await api.login("owner")).get(f"/api/v1/projects/{dataset.project_id}/images")).json()["images"]
    assert (await api.client().get(media_path(listed[0]["url"]))).content == OLD


async def test_names_in_the_wizard_in_files_and_in_exports_are_paths_and_not_keys(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    owner = await api.login("owner")
    for content in (OLD, NEW):  # the second is a replacement
        await upload(owner, dataset, ("all.zip", archive({"train/1.jpg": content})))
    where = f"/api/v1/datasets/{dataset.id}/storage/preview"
    mapping = {"filename": "1.jpg", "relative_path": "train/1.jpg", "size": 5}
    preview = (await owner.post(where, json={"file_mappings": [mapping], "target_folder": ""})).json()
    assert [(one["path"], one["status"]) for one in preview["duplicate_files"]] == [("train/1.jpg", "duplicate")]

    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}
    labels = {
        "images": [{"id": 1, "file_name": "train/1.jpg", "width": 50, "height": 20}],
        "annotations": [box],
        "categories": [{"id": 1, "name": "cat"}],
    }
    files = [("files", ("b.jpg", OLD)), ("annotation_file", ("coco.json", msgspec.json.encode(labels)))]
    answer = (await owner.post(f"/api/v1/datasets/{dataset.id}/images", files=files)).json()
    assert answer["annotations_imported"] == 1
    assert answer["import_report"]["errors"] == []

    body = {"project_id": dataset.project_id, "task_type": "detection", "export_format": "coco"}
    export = (await owner.post("/api/v1/export", json=body)).json()
    document = (await api.client().get(media_path(export["download_url"]))).json()
    assert [one["file_name"] for one in document["images"]] == ["train/1.jpg"]
