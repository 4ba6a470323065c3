"""What a row in quarantine refers to is in use: whoever mends the row needs its objects."""

from typing import Any

import msgspec
import pytest

from tests.fixtures.api import Api
from tests.fixtures.sweeps import DATASETS, EXPORTS, put_all, swept

IMAGE = "datasets/ds_q/images/a/1.jpg"
EXPORT = "exports/proj_q/detection/v1.0/a.json"
QUARANTINED = [
    ("datasets", {"id": "ds_q"}, DATASETS, IMAGE),
    ("datasets", {"id": "other", "storage_path": "datasets/ds_q/inside/"}, DATASETS, IMAGE),
    ("datasets", {"id": "other", "annotation_path": "datasets/ds_q/annotations.json"}, DATASETS, IMAGE),
    ("image_metadata", {"id": "x", "dataset_id": "ds_q"}, DATASETS, IMAGE),
    ("image_metadata", {"id": "x", "dataset_id": "other", "s3_key": IMAGE}, DATASETS, IMAGE),
    ("annotation_projects", {"id": "p", "dataset_id": "ds_q"}, DATASETS, IMAGE),
    ("dataset_permissions", {"dataset_id": "ds_q"}, DATASETS, IMAGE),
    ("invitations", {"dataset_id": "ds_q"}, DATASETS, IMAGE),
    *(
        (
            table,
            {"id" if table == "annotation_projects" else "project_id": "proj_q"},
            EXPORTS,
            EXPORT,
        )
        for table in (
            "annotation_projects",
            "project_permissions",
            "annotations",
            "annotation_history",
            "image_annotation_status",
            "image_locks",
            "annotation_versions",
            "annotation_tasks",
            "comments",
        )
    ),
    (
        "annotation_versions",
        {"export_path": EXPORT},
        EXPORTS,
        EXPORT,
    ),
]


async def quarantine(api: Api, table: str, row: dict[str, Any]) -> None:
    async with api.db.begin() as tx:
        text = msgspec.json.encode(row).decode()
        await tx.execute(f"INSERT INTO quarantine_{table} (reason, row) VALUES ('a test', $1::jsonb)", text)


@pytest.mark.parametrize(("table", "row", "bucket", "key"), QUARANTINED)
async def test_what_a_row_in_quarantine_refers_to_is_in_use(
    api: Api, table: str, row: dict[str, Any], bucket: str, key: str
) -> None:
    await put_all(api, [(bucket, key)])
    assert sum(found.objects for found in (await swept(api, remove=False)).found.values()) == 1
    await quarantine(api, table, row)
    assert (await swept(api, remove=False)).found == {}


@pytest.mark.parametrize(
    ("table", "row", "kept"),
    [
        ("image_metadata", {"id": "x", "s3_key": "{folder}/images/a/1.jpg"}, {"images/a/1.jpg"}),
        ("image_metadata", {"id": "x", "thumbnail_key": "{folder}/thumbnails/a/1.jpg"}, {"thumbnails/a/1.jpg"}),
        ("image_metadata", {"id": "x", "rendition_key": "{folder}/renditions/b.tif.jpg"}, {"renditions/b.tif.jpg"}),
        ("annotations", {"image_id": "b"}, {"images/b.tif", "renditions/b.tif.jpg"}),
        ("datasets", {"id": "x", "annotation_path": "{folder}/images/a/1.jpg"}, {"images/a/1.jpg"}),
        ("annotations", {"image_id": "a/1"}, {"images/a/1.jpg", "thumbnails/a/1.jpg"}),
        ("annotations", {"image_id": "a/1.jpg"}, {"images/a/1.jpg", "thumbnails/a/1.jpg"}),
        ("image_annotation_status", {"image_id": "a/1"}, {"images/a/1.jpg", "thumbnails/a/1.jpg"}),
        ("image_locks", {"image_id": "a/1"}, {"images/a/1.jpg", "thumbnails/a/1.jpg"}),
        ("comments", {"image_id": "a/1"}, {"images/a/1.jpg", "thumbnails/a/1.jpg"}),
        ("annotation_tasks", {"image_ids": ["c", "a/1"]}, {"images/a/1.jpg", "thumbnails/a/1.jpg"}),
        ("annotation_tasks", {"image_ids": None}, set()),
        ("annotations", {"image_id": "a/2"}, set()),
    ],
)
async def test_of_a_dataset_that_is_there_the_objects_that_quarantine_names_are_in_use(
    api: Api, table: str, row: dict[str, Any], kept: set[str]
) -> None:
    folder = f"datasets/{(await api.dataset()).id}"
    names = {"images/a/1.jpg", "thumbnails/a/1.jpg", "images/b.tif", "renditions/b.tif.jpg"}
    await put_all(api, [(DATASETS, f"{folder}/{name}") for name in names])
    row = {name: value.format(folder=folder) if isinstance(value, str) else value for name, value in row.items()}
    await quarantine(api, table, row)
    report = await swept(api, remove=False)
    found = {example.removeprefix(f"{DATASETS}/{folder}/").partition(":")[0] for example in report.examples}
    assert found == names - kept


async def test_a_version_in_quarantine_keeps_its_export(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    keys = [f"exports/{dataset.project_id}/detection/v{number}.0/a.json" for number in (8, 9)]
    await put_all(api, [(EXPORTS, key) for key in keys])
    version = {"project_id": dataset.project_id, "task_type": "detection", "version_number": "v8.0"}
    await quarantine(api, "annotation_versions", version)
    assert (await swept(api, remove=False)).examples == [f"{EXPORTS}/{keys[1]}: no version has it"]
