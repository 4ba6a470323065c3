from datetime import UTC, datetime, timedelta
from hashlib import sha256

from tests.fixtures.accounts import OWNER
from tests.fixtures.api import Api
from tests.fixtures.versions import (
    CLASSES,
    RING,
    annotate,
    annotation,
    downloaded,
    path_of,
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
    dataset = await api.dataset(tasks=["detection"], images=2, classes=CLASSES)
    await annotate(
        api, dataset, *(annotation(image_id) for image_id in dataset.image_ids), annotation(dataset.image_ids[0])
    )
    owner = await api.login("owner")

    version = await published(owner, dataset, export_format="COCO", description="first")

    assert set(version) == KEYS
    assert version["project_id"] == dataset.project_id
    assert version["task_type"] == "detection"
    assert version["version_number"] == "v1.0"
    assert version["version_type"] == "published"
    assert version["description"] == "first"
    assert version["annotation_count"] == 3
    assert version["image_count"] == 2
    assert version["export_format"] == "coco"
    assert version["export_path"] == f"exports/{dataset.project_id}/detection/v1.0/annotations_coco.json"
    assert version["created_by"] == OWNER.id
    assert version["created_by_email"] == "owner@example.com"
    assert version["created_at"].endswith("Z")
    expires = datetime.fromisoformat(version["download_url_expires_at"])
    assert timedelta(days=7) <= expires - datetime.now(UTC) <= timedelta(days=7, hours=12)


async def test_everything_that_belongs_to_a_version_is_stored(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0], attributes={"difficult": True}))

    version = await published(await api.login("owner"), dataset, export_format="coco")

    settings = api.services.settings
    folder = f"exports/{dataset.project_id}/detection/v1.0"
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
    assert row["file_size_bytes"] == len(body)
    assert row["content_sha256"] == sha256(body).hexdigest()
    assert len(snapshot) == 1
    assert dict(data or {}) == {
        "image_id": dataset.image_ids[0],
        "task_type": "detection",
        "difficult": "true",
        "file_name": f"{dataset.image_ids[0]}.jpg",
    }


async def test_the_dice_file_is_copied_to_the_dataset(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0]))
    owner = await api.login("owner")
    before = await _revision(api, dataset.project_id)

    await published(owner, dataset, export_format="coco")

    settings, objects = api.services.settings, api.services.objects
    key = f"datasets/{dataset.id}/annotations_detection.json"
    copy = await objects.head(settings.s3_bucket_datasets, key)
    assert copy.metadata is not None
    assert copy.content_type == "application/json"
    assert {name: copy.metadata[name] for name in ("dataset_id", "task_type", "version", "format", "source")} == {
        "dataset_id": dataset.id,
        "task_type": "detection",
        "version": "v1.0",
        "format": "dice",
        "source": "labeler_publish",
    }
    original = f"exports/{dataset.project_id}/detection/v1.0/annotations.json"
    async with (
        objects.open(settings.s3_bucket_datasets, key) as copied,
        objects.open(settings.s3_bucket_annotations, original) as published_file,
    ):
        assert await copied.read() == await published_file.read()
    async with api.db.read() as connection:
        row = await connection.fetchrow("SELECT labeled, annotation_path FROM datasets WHERE id = $1", dataset.id)
    assert dict(row or {}) == {"labeled": True, "annotation_path": key}
    assert await _revision(api, dataset.project_id) == before + 1


async def test_only_confirmed_annotations_of_the_task_unless_drafts_are_wanted(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection", "segmentation"], images=3, classes=CLASSES)
    first, second, third = dataset.image_ids
    await annotate(
        api,
        dataset,
        annotation(first),
        annotation(second, annotation_state="verified"),
        annotation(third, annotation_state="draft"),
        annotation(third, "polygon", RING),
        annotation(third, "bbox", task_type="object_detection"),
        annotation(third, "no_object", {"type": "no_object"}, class_id=None, attributes={"task_type": "detection"}),
    )
    owner = await api.login("owner")

    confirmed = await published(owner, dataset)
    all_of_it = await published(owner, dataset, include_draft=True)
    aliased = await published(owner, dataset, task_type="object_detection")

    assert confirmed["annotation_count"] == 4
    assert confirmed["image_count"] == 3
    assert all_of_it["annotation_count"] == 5
    assert all_of_it["image_count"] == 3
    assert aliased["annotation_count"] == 4
    assert aliased["task_type"] == "detection"


async def test_numbers_go_on_from_the_most_recent_version(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection", "segmentation"], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0]), annotation(dataset.image_ids[0], "polygon", RING))
    owner = await api.login("owner")

    async def number(**body: object) -> str:
        return str((await published(owner, dataset, **body))["version_number"])

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


async def test_the_dataset_id_does_as_well(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0]))
    owner = await api.login("owner")

    answer = await owner.post(
        f"/api/v1/projects/{dataset.id}/versions/publish", json={"task_type": "detection", "export_format": "dice"}
    )

    assert answer.status_code == 200
    assert answer.json()["project_id"] == dataset.project_id
    assert path_of(answer.json()["download_url"]) == f"/media/exports/{answer.json()['id']}"


async def test_the_number_of_statements_does_not_grow(api: Api) -> None:
    owner = await api.login("owner")
    counts = []
    for images in (1, 10, 1000):
        dataset = await api.dataset(tasks=["detection"], images=images, classes=CLASSES)
        await annotate(api, dataset, *(annotation(image_id) for image_id in dataset.image_ids))
        with api.count() as statements:
            await published(owner, dataset, export_format="coco")
        counts.append(statements.value)

    assert counts == [counts[0]] * 3
    assert counts[0] == 13


async def _revision(api: Api, project_id: str) -> int:
    async with api.db.read() as connection:
        return int(await connection.fetchval("SELECT revision FROM annotation_projects WHERE id = $1", project_id))
