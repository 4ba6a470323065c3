from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from tests.fixtures.api import Api
from tests.labeler_api.versions.builders import (
    CLASSES,
    RING,
    annotate,
    annotation,
    downloaded,
    path_of,
    publish,
    published,
    stored_keys,
)

KEYS = {
    "id",
    "project_id",
    "task_type",
    "version_number",
    "version_type",
    "created_at",
    "created_by",
    "description",
    "annotation_count",
    "image_count",
    "export_format",
    "export_path",
    "download_url",
    "download_url_expires_at",
    "created_by_name",
    "created_by_email",
}


async def test_publish_answers_the_version(api: Api) -> None:
    made = await api.dataset(tasks=["detection"], images=2, classes=CLASSES)
    await annotate(api, made, *(annotation(image_id) for image_id in made.image_ids), annotation(made.image_ids[0]))
    owner = await api.login("owner")

    version = await published(owner, made, export_format="COCO", description="first")

    assert set(version) == KEYS
    assert version["project_id"] == made.project_id
    assert version["task_type"] == "detection"
    assert version["version_number"] == "v1.0"
    assert version["version_type"] == "published"
    assert version["description"] == "first"
    assert (version["annotation_count"], version["image_count"]) == (3, 2)
    assert version["export_format"] == "coco"
    assert version["export_path"] == f"exports/{made.project_id}/detection/v1.0/annotations_coco.json"
    assert version["created_by"] == 2
    assert version["created_by_email"] == "owner@example.com"
    assert version["created_at"].endswith("Z")
    expires = datetime.fromisoformat(version["download_url_expires_at"])
    assert timedelta(days=7) <= expires - datetime.now(UTC) <= timedelta(days=7, hours=12)


async def test_everything_that_belongs_to_a_version_is_stored(api: Api) -> None:
    made = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, made, annotation(made.image_ids[0], attributes={"difficult": True}))

    version = await published(await api.login("owner"), made, export_format="coco")

    settings = api.services.settings
    folder = f"exports/{made.project_id}/detection/v1.0"
    keys = await stored_keys(api, settings.s3_bucket_annotations, f"{folder}/")
    assert keys == [f"{folder}/annotations.json", f"{folder}/annotations_coco.json"]
    info = await api.services.objects.head(settings.s3_bucket_annotations, version["export_path"])
    assert info.metadata is not None
    assert info.metadata["version"] == "v1.0"
    assert info.metadata["format"] == "coco"
    async with api.db.read() as connection:
        row = await connection.fetchrow("SELECT * FROM annotation_versions WHERE id = $1", version["id"])
        snapshot = await connection.fetch("SELECT * FROM annotation_snapshots WHERE version_id = $1", version["id"])
        data = await connection.fetchrow(
            "SELECT snapshot_data ->> 'image_id' AS image_id, snapshot_data ->> 'task_type' AS task_type,"
            " snapshot_data #>> '{attributes,difficult}' AS difficult,"
            " snapshot_data #>> '{image,file_name}' AS file_name"
            " FROM annotation_snapshots WHERE version_id = $1",
            version["id"],
        )
    body = (await downloaded(api, version)).content
    assert row is not None
    assert (row["file_size_bytes"], row["content_sha256"]) == (len(body), sha256(body).hexdigest())
    assert len(snapshot) == 1
    assert dict(data or {}) == {
        "image_id": made.image_ids[0],
        "task_type": "detection",
        "difficult": "true",
        "file_name": f"{made.image_ids[0]}.jpg",
    }


async def test_the_dice_file_is_copied_to_the_dataset(api: Api) -> None:
    made = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, made, annotation(made.image_ids[0]))
    owner = await api.login("owner")
    before = await _revision(api, made.project_id)

    await published(owner, made, export_format="coco")

    settings, objects = api.services.settings, api.services.objects
    key = f"datasets/{made.dataset_id}/annotations_detection.json"
    copy = await objects.head(settings.s3_bucket_datasets, key)
    assert copy.metadata is not None
    assert copy.content_type == "application/json"
    assert {name: copy.metadata[name] for name in ("dataset_id", "task_type", "version", "format", "source")} == {
        "dataset_id": made.dataset_id,
        "task_type": "detection",
        "version": "v1.0",
        "format": "dice",
        "source": "labeler_publish",
    }
    original = f"exports/{made.project_id}/detection/v1.0/annotations.json"
    async with (
        objects.open(settings.s3_bucket_datasets, key) as copied,
        objects.open(settings.s3_bucket_annotations, original) as published_file,
    ):
        assert await copied.read() == await published_file.read()
    async with api.db.read() as connection:
        row = await connection.fetchrow("SELECT labeled, annotation_path FROM datasets WHERE id = $1", made.dataset_id)
    assert dict(row or {}) == {"labeled": True, "annotation_path": key}
    assert await _revision(api, made.project_id) == before + 1


async def test_only_confirmed_annotations_of_the_task_unless_drafts_are_wanted(api: Api) -> None:
    made = await api.dataset(tasks=["detection", "segmentation"], images=3, classes=CLASSES)
    first, second, third = made.image_ids
    await annotate(
        api,
        made,
        annotation(first),
        annotation(second, annotation_state="verified"),
        annotation(third, annotation_state="draft"),
        annotation(third, "polygon", RING),
        annotation(third, "bbox", task_type="object_detection"),
        annotation(third, "no_object", {"type": "no_object"}, class_id=None, attributes={"task_type": "detection"}),
    )
    owner = await api.login("owner")

    confirmed = await published(owner, made)
    all_of_it = await published(owner, made, include_draft=True)
    aliased = await published(owner, made, task_type="object_detection")

    assert (confirmed["annotation_count"], confirmed["image_count"]) == (4, 3)
    assert (all_of_it["annotation_count"], all_of_it["image_count"]) == (5, 3)
    assert (aliased["annotation_count"], aliased["task_type"]) == (4, "detection")


async def test_numbers_go_on_from_the_most_recent_version(api: Api) -> None:
    made = await api.dataset(tasks=["detection", "segmentation"], images=1, classes=CLASSES)
    await annotate(api, made, annotation(made.image_ids[0]), annotation(made.image_ids[0], "polygon", RING))
    owner = await api.login("owner")

    async def number(**body: object) -> str:
        return str((await published(owner, made, **body))["version_number"])

    assert await number() == "v1.0"
    assert await number() == "v2.0"
    assert await number(task_type="segmentation") == "v1.0"
    assert await number(version_number="v7.3") == "v7.3"
    assert await number() == "v8.0"
    assert await number(version_number="v6.9") == "v6.9"
    assert await number() == "v7.0"  # counted from the one before, and free
    assert await number() == "v9.0"  # v8.0 is taken
    assert await number(version_number="release-a") == "release-a"
    assert await number() == "v3.0"  # nothing to count from: the first free one
    assert await number(version_number="v999999999999999") == "v999999999999999"
    assert await number() == "v4.0"


async def test_a_number_that_is_taken_is_a_conflict(api: Api) -> None:
    made = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, made, annotation(made.image_ids[0]))
    owner = await api.login("owner")
    await published(owner, made, version_number="v1.0")
    before = await downloaded(
        api, (await owner.get(f"/api/v1/projects/{made.project_id}/versions")).json()["versions"][0]
    )
    await annotate(api, made, annotation(made.image_ids[0]))

    answer = await publish(owner, made, version_number="v1.0")

    assert answer.status_code == 409
    assert answer.json()["code"] == "version_exists"
    listed = (await owner.get(f"/api/v1/projects/{made.project_id}/versions")).json()
    assert listed["total"] == 1
    assert (await downloaded(api, listed["versions"][0])).content == before.content


@pytest.mark.parametrize("name", ["yolo", "voc", "xlsx"])
async def test_a_format_that_is_not_offered_is_refused_before_anything_is_written(api: Api, name: str) -> None:
    made = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, made, annotation(made.image_ids[0]))
    before = await _stored(api)

    answer = await publish(await api.login("owner"), made, export_format=name)

    assert answer.status_code == 400
    assert answer.json()["code"] == "format_not_offered"
    assert "coco, dice" in answer.json()["detail"]
    assert await _stored(api) == before


async def test_a_task_without_anything_to_publish_is_refused(api: Api) -> None:
    made = await api.dataset(tasks=["detection", "segmentation"], images=1, classes=CLASSES)
    await annotate(api, made, annotation(made.image_ids[0], annotation_state="draft"))
    before = await _stored(api)
    owner = await api.login("owner")

    drafts = await publish(owner, made)
    nothing = await publish(owner, made, task_type="segmentation")
    unknown = await publish(owner, made, task_type="line")

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
    made = await api.dataset(tasks=["detection"])

    answer = await publish(await api.login("owner"), made, **body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", next(iter(body))]


async def test_roles(api: Api) -> None:
    made = await api.dataset(
        tasks=["detection"],
        images=1,
        classes=CLASSES,
        members={"reviewer": "reviewer", "annotator": "annotator", "viewer": "admin"},
    )
    await annotate(api, made, annotation(made.image_ids[0]))

    statuses = {}
    for account in ("owner", "admin", "viewer", "reviewer", "annotator", "stranger"):
        statuses[account] = (await publish(await api.login(account), made)).status_code

    # `viewer` is an admin of this project, `admin` one of the whole system.
    assert statuses == {"owner": 200, "admin": 200, "viewer": 200, "reviewer": 403, "annotator": 403, "stranger": 404}
    async with api.client() as nobody:
        assert (await publish(nobody, made)).status_code == 401


async def test_the_dataset_id_does_as_well(api: Api) -> None:
    made = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, made, annotation(made.image_ids[0]))
    owner = await api.login("owner")

    answer = await owner.post(
        f"/api/v1/projects/{made.dataset_id}/versions/publish", json={"task_type": "detection", "export_format": "dice"}
    )

    assert answer.status_code == 200
    assert answer.json()["project_id"] == made.project_id
    assert path_of(answer.json()["download_url"]) == f"/media/exports/{answer.json()['id']}"


async def test_the_number_of_statements_does_not_grow(api: Api) -> None:
    owner = await api.login("owner")
    counts = []
    for images in (1, 10, 1000):
        made = await api.dataset(tasks=["detection"], images=images, classes=CLASSES)
        await annotate(api, made, *(annotation(image_id) for image_id in made.image_ids))
        with api.count() as statements:
            await published(owner, made, export_format="coco")
        counts.append(statements.value)

    assert counts == [counts[0]] * 3
    assert counts[0] <= 12


async def _revision(api: Api, project_id: str) -> int:
    async with api.db.read() as connection:
        return int(await connection.fetchval("SELECT revision FROM annotation_projects WHERE id = $1", project_id))


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
