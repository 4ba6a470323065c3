"""Exports: POST /export and POST /projects/{id}/export."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labeler_api.versions.formats import EXPORT_FORMATS
from tests.fixtures.accounts import VIEWER
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.readers import members
from tests.fixtures.versions import (
    CLASSES,
    RING,
    annotate,
    annotation,
    downloaded,
    export,
    exported,
    path_of,
    published,
)

KEYS = {
    "export_path",
    "download_url",
    "download_url_expires_at",
    "export_format",
    "annotation_count",
    "image_count",
    "file_size_bytes",
    "images_left_out",
}


async def _dataset(api: Api, **roles: str) -> Dataset:
    dataset = await api.dataset(tasks=["detection", "segmentation"], images=3, classes=CLASSES, members=roles)
    first, second, _ = dataset.image_ids
    await annotate(
        api,
        dataset,
        annotation(first),
        annotation(first, class_id="c_dog"),
        annotation(second, annotation_state="draft"),
        annotation(second, "polygon", RING),
    )
    return dataset


@pytest.mark.parametrize("name", sorted(EXPORT_FORMATS))
async def test_an_export_answers_a_link_to_the_file(api: Api, name: str) -> None:
    dataset = await _dataset(api)

    answer = await exported(await api.login("owner"), dataset, export_format=name.upper())
    file = await downloaded(api, answer)

    assert set(answer) == KEYS
    assert answer["export_format"] == name
    assert answer["annotation_count"] == 2
    assert answer["image_count"] == 1
    assert answer["file_size_bytes"] == len(file.content)
    folder = rf"exports/{dataset.project_id}/detection/export_\d{{8}}_\d{{6}}_[0-9a-f]{{8}}"
    assert re.fullmatch(f"{folder}/{re.escape(EXPORT_FORMATS[name].file_name)}", answer["export_path"])
    assert path_of(answer["download_url"]) == f"/media/{answer['export_path']}"
    expires = datetime.fromisoformat(answer["download_url_expires_at"])
    assert timedelta(days=7) <= expires - datetime.now(UTC) <= timedelta(days=7, hours=12)
    saved = (
        rf'attachment; filename="Dataset_1_detection_export_\d{{8}}_\d{{6}}_{name}\{EXPORT_FORMATS[name].extension}"'
    )
    assert re.fullmatch(saved, file.headers["content-disposition"])
    assert file.headers["content-type"] == EXPORT_FORMATS[name].content_type
    assert file.headers["x-content-type-options"] == "nosniff"
    assert file.headers["referrer-policy"] == "no-referrer"


async def test_both_calls_and_both_ids_export_the_same(api: Api) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")
    legacy = {"project_id": "ignored", "export_format": "coco"}  # the call of old knows no task

    answers = [
        await owner.post(f"/api/v1/projects/{dataset.project_id}/export", json=legacy),
        await owner.post(f"/api/v1/projects/{dataset.id}/export", json={**legacy, "task_type": "object_detection"}),
        await export(owner, dataset, project_id=dataset.id, export_format="coco"),
    ]

    assert [answer.status_code for answer in answers] == [200] * 3
    files = [(await downloaded(api, answer.json())).json() for answer in answers]
    assert files[0]["annotations"] == files[1]["annotations"] == files[2]["annotations"] != []
    assert len({answer.json()["export_path"] for answer in answers}) == 3


async def test_drafts_and_images_are_chosen(api: Api) -> None:
    dataset = await _dataset(api)
    first, second, third = dataset.image_ids
    owner = await api.login("owner")

    async def counts(**body: Any) -> dict[str, int]:
        answer = await exported(owner, dataset, **body)
        return {"annotations": answer["annotation_count"], "images": answer["image_count"]}

    assert await counts(include_draft=True) == {"annotations": 3, "images": 2}
    assert await counts(include_draft=True, image_ids=[second, third, second]) == {"annotations": 1, "images": 1}
    assert await counts(image_ids=[first]) == {"annotations": 2, "images": 1}
    assert await counts(task_type="segmentation", image_ids=None) == {"annotations": 1, "images": 1}


async def test_an_export_is_what_a_version_of_the_same_would_be(api: Api) -> None:
    dataset = await _dataset(api)
    await annotate(
        api, dataset, annotation(dataset.image_ids[2], attributes={"note": "x"}, class_id="old", class_name="Old")
    )
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE image_metadata SET width = NULL, s3_key = 'elsewhere' WHERE id = $1", dataset.image_ids[2]
        )
        await tx.execute(
            "INSERT INTO image_annotation_status"
            " (project_id, image_id, task_type, status, is_image_confirmed, confirmed_at)"
            " VALUES ($1, $2, 'detection', 'completed', true, '2026-11-21T00:00:00Z')",
            dataset.project_id,
            dataset.image_ids[0],
        )
    owner = await api.login("owner")

    for name in ("yolo", "voc"):  # they tell no times
        number = f"like-{name}"  # keys of its own: other tests look at what is stored under v1.0
        version = await downloaded(api, await published(owner, dataset, export_format=name, version_number=number))
        first, second = [await downloaded(api, await exported(owner, dataset, export_format=name)) for _ in range(2)]
        assert version.content == first.content == second.content
    for name, timed in (("coco", "info"), ("dice", "last_modified_at")):
        version = await downloaded(api, await published(owner, dataset, export_format=name))
        now = await downloaded(api, await exported(owner, dataset, export_format=name))
        assert {**version.json(), timed: None} == {**now.json(), timed: None}


async def test_a_yolo_version_leaves_the_dice_copy_as_it_is(api: Api) -> None:
    dataset = await _dataset(api)

    version = await published(await api.login("owner"), dataset, export_format="yolo", task_type="segmentation")

    assert version["export_format"] == "yolo"
    file = await downloaded(api, version)
    assert file.headers["content-disposition"] == 'attachment; filename="Dataset_1_segmentation_v1.0_yolo.zip"'
    assert members(file.content)[f"labels/{dataset.image_ids[1]}.txt"].startswith(b"0 0.000000 0.000000 0.015625 ")
    settings, key = api.services.settings, f"datasets/{dataset.id}/annotations_segmentation.json"
    async with api.services.objects.open(settings.s3_bucket_datasets, key) as copy:
        assert b'"format_version": "1.0"' in await copy.read()


async def _files(api: Api, dataset: Dataset) -> list[tuple[str, datetime]]:
    listed = api.services.objects.list(api.services.settings.s3_bucket_annotations, f"exports/{dataset.project_id}/")
    return [(info.key, info.last_modified) async for info in listed]


async def test_refusals(api: Api) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")
    before = await _files(api, dataset)  # the store is shared, and other tests had a project of this id

    async def refused(**body: Any) -> tuple[int, str]:
        answer = await export(owner, dataset, **body)
        return answer.status_code, answer.json()["code"]

    assert await refused(export_format="xlsx") == (400, "format_not_offered")
    of_project = await owner.post(f"/api/v1/projects/{dataset.project_id}/export", json={"export_format": "xlsx"})
    assert of_project.status_code == 400
    assert of_project.json()["code"] == "format_not_offered"
    assert await refused(export_format="yolo", task_type="geometry") == (400, "format_not_for_task")
    assert await refused(task_type="line") == (400, "task_not_in_project")
    assert await refused(image_ids=[dataset.image_ids[1]]) == (400, "nothing_to_export")
    assert await refused(image_ids=[dataset.image_ids[2]], include_draft=True) == (400, "nothing_to_export")
    assert await refused(image_ids=[dataset.image_ids[0], "nowhere", "a/b"]) == (400, "image_not_found")
    assert await refused(project_id="nowhere") == (404, "project_not_found")
    shapes: tuple[dict[str, Any], ...] = (
        {"task_type": "a/b"},
        {"image_ids": []},
        {"image_ids": [7]},
        {"export_format": None},
        {"project_id": 1},
    )
    for body in shapes:
        assert (await refused(**body))[0] == 422
    unknown = await export(owner, dataset, image_ids=["nowhere", dataset.image_ids[0], "a/b"])
    assert "nowhere, a/b." in unknown.json()["detail"]
    assert await _files(api, dataset) == before


async def test_roles(api: Api) -> None:
    dataset = await _dataset(api, viewer="admin", reviewer="reviewer", annotator="annotator")

    for path in ("/api/v1/export", f"/api/v1/projects/{dataset.project_id}/export"):
        body = {"project_id": dataset.project_id, "task_type": "detection", "export_format": "dice"}
        statuses = {}
        for account in ("owner", "admin", "viewer", "reviewer", "annotator", "stranger"):
            statuses[account] = (await (await api.login(account)).post(path, json=body)).status_code
        # `viewer` is an admin of this project, `admin` one of the whole system.
        assert statuses == {
            "owner": 200,
            "admin": 200,
            "viewer": 200,
            "reviewer": 403,
            "annotator": 403,
            "stranger": 404,
        }
        async with api.client() as nobody:
            assert (await nobody.post(path, json=body)).status_code == 401


async def test_a_link_is_one_admins_and_one_files(api: Api) -> None:
    dataset = await _dataset(api, viewer="admin")
    answer = await exported(await api.login("viewer"), dataset, export_format="voc")
    url = answer["download_url"]

    async def status(link: str) -> int:
        return (await downloaded(api, {"download_url": link})).status_code

    assert await status(url) == 200
    for old, new in ((r"v=\w", "v=_"), (r"u=5", "u=2"), (r"/detection/", "/segmentation/"), (r"\.zip", ".json")):
        changed = re.sub(old, new, url)
        assert changed != url
        assert await status(changed) == 404
    async with api.db.begin() as tx:
        await tx.execute(f"UPDATE project_permissions SET role = 'viewer' WHERE user_id = {VIEWER.id}")
    assert await status(url) == 404


async def test_the_number_of_statements_does_not_grow(api: Api) -> None:
    owner = await api.login("owner")
    counts = []
    for images in (1, 10, 1000):
        dataset = await api.dataset(tasks=["detection"], images=images, classes=CLASSES)
        await annotate(api, dataset, *(annotation(image_id) for image_id in dataset.image_ids))
        with api.count() as statements:
            await exported(owner, dataset, export_format="coco", image_ids=dataset.image_ids)
        counts.append(statements.value)

    # Access, turn, images, joins, summary, and the two cursors that COCO reads.
    assert counts == [7] * 3
