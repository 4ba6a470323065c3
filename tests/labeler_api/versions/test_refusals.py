from datetime import datetime

import pytest

from tests.fixtures.api import Api
from tests.fixtures.versions import CLASSES, annotate, annotation, downloaded, export, publish, published


async def test_a_number_that_is_taken_is_a_conflict(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0]))
    owner = await api.login("owner")
    await published(owner, dataset, version_number="v1.0")
    before = await downloaded(
        api, (await owner.get(f"/api/v1/projects/{dataset.project_id}/versions")).json()["versions"][0]
    )
    await annotate(api, dataset, annotation(dataset.image_ids[0]))

    answer = await publish(owner, dataset, version_number="v1.0")

    assert answer.status_code == 409
    assert answer.json()["code"] == "version_exists"
    listed = (await owner.get(f"/api/v1/projects/{dataset.project_id}/versions")).json()
    assert listed["total"] == 1
    assert (await downloaded(api, listed["versions"][0])).content == before.content


@pytest.mark.parametrize(("name", "task"), [("xlsx", "detection"), ("yolo", "geometry"), ("voc", "classification")])
async def test_a_format_that_is_not_offered_is_refused_before_anything_is_written(
    api: Api, name: str, task: str
) -> None:
    dataset = await api.dataset(tasks=[task], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0], task_type=task))
    before = await _stored(api)

    answer = await publish(await api.login("owner"), dataset, export_format=name, task_type=task)

    assert answer.status_code == 400
    assert answer.json()["code"] == ("format_not_offered" if name == "xlsx" else "format_not_for_task")
    assert answer.json()["detail"].endswith("coco, dice, voc, yolo." if name == "xlsx" else "coco, dice.")
    assert await _stored(api) == before


async def test_yolo_of_an_image_without_size_is_refused_before_anything_is_written(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=7, classes=CLASSES)
    sizeless = {"type": "bbox", "bbox": [0, 0, 1, 1]}
    await annotate(api, dataset, *(annotation(image_id, geometry=sizeless) for image_id in dataset.image_ids))
    nothing = annotation(
        dataset.image_ids[0], "no_object", {"type": "no_object"}, attributes={"task_type": "detection"}
    )
    await annotate(api, dataset, nothing)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET width = NULL WHERE id <> $1", dataset.image_ids[0])
    owner = await api.login("owner")
    _, before = await _stored(api)

    publishing = await publish(owner, dataset, export_format="yolo")
    exporting = await export(owner, dataset, export_format="yolo")

    for answer in (publishing, exporting):
        assert answer.status_code == 400
        assert answer.json()["code"] == "image_size_unknown"
        assert f"{', '.join(dataset.image_ids[1:6])} and more" in answer.json()["detail"]
        assert "`labeler images backfill`" in answer.json()["detail"]
    rows, after = await _stored(api)
    assert rows == 0
    assert set(after) <= set(before)  # the number's keys, which other tests have filled, are emptied
    assert (await publish(owner, dataset, export_format="voc", version_number="voc")).status_code == 200


async def test_a_task_without_anything_to_publish_is_refused(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection", "segmentation"], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0], annotation_state="draft"))
    before = await _stored(api)
    owner = await api.login("owner")

    drafts = await publish(owner, dataset)
    nothing = await publish(owner, dataset, task_type="segmentation")
    unknown = await publish(owner, dataset, task_type="line")

    assert [answer.status_code for answer in (drafts, nothing, unknown)] == [400, 400, 400]
    assert drafts.json()["code"] == nothing.json()["code"] == "nothing_to_publish"
    assert "include the drafts" in drafts.json()["detail"]
    assert unknown.json()["code"] == "task_not_in_project"
    assert "detection, segmentation" in unknown.json()["detail"]
    assert await _stored(api) == before


@pytest.mark.parametrize(
    "body",
    [
        {"version_number": "x" * 21},
        {"version_number": "../v1"},
        {"version_number": "v1/2"},
        {"version_number": ""},
        {"version_number": ".."},
        {"task_type": ""},
        {"task_type": "a/b"},
        {"task_type": None},
        {"export_format": None},
        {"description": "x" * 10_001},
        {"include_draft": "perhaps"},
    ],
)
async def test_a_body_of_another_shape_is_refused(api: Api, body: dict[str, object]) -> None:
    dataset = await api.dataset(tasks=["detection"])

    answer = await publish(await api.login("owner"), dataset, **body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", next(iter(body))]


async def test_roles(api: Api) -> None:
    dataset = await api.dataset(
        tasks=["detection"],
        images=1,
        classes=CLASSES,
        members={"reviewer": "reviewer", "annotator": "annotator", "viewer": "admin"},
    )
    await annotate(api, dataset, annotation(dataset.image_ids[0]))

    statuses = {}
    for account in ("owner", "admin", "viewer", "reviewer", "annotator", "stranger"):
        statuses[account] = (await publish(await api.login(account), dataset)).status_code

    # `viewer` is an admin of this project, `admin` one of the whole system.
    assert statuses == {"owner": 200, "admin": 200, "viewer": 200, "reviewer": 403, "annotator": 403, "stranger": 404}
    with api.count() as statements:
        await publish(await api.login("reviewer"), dataset)
    assert statements.value == 1  # refused before anything was looked at
    async with api.client() as nobody:
        assert (await publish(nobody, dataset)).status_code == 401


async def _stored(api: Api) -> tuple[int, list[tuple[str, datetime]]]:
    """What was ever stored: version rows, and the objects of both buckets with their times."""
    settings, objects = api.services.settings, api.services.objects
    async with api.db.read() as connection:
        rows = await connection.fetchval("SELECT count(*) FROM annotation_versions")
    found = [
        (info.key, info.last_modified)
        for bucket in (settings.s3_bucket_annotations, settings.s3_bucket_datasets)
        async for info in objects.list(bucket, "")
    ]
    return rows, found
