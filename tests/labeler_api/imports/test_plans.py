"""What an import's statements touch in a large project, whatever PostgreSQL knows of the tables.

Counted in blocks: the same on every machine, and a plan that reads the project for each image, or for each annotation,
is a hundred times over the bound.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from labeler_api.imports.writing import store as writing_store
from tests.fixtures.annotating import box, check_counters
from tests.fixtures.annotation_files import coco, imported, stored, take
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import picture
from tests.fixtures.rows import rows

_IMAGES = 2000
_OF_AN_IMAGE = 100  # annotations that are there: 200 000 in all
_NAMED = 200
_NEW = 5  # on each of the named images, and one that is there already

_LOAD = """
    INSERT INTO annotations
        (project_id, image_id, annotation_type, task_type, geometry, class_id, class_name, created_by)
    SELECT $1, 'train/good/' || lpad((n % $2::int)::text, 4, '0'), 'bbox', 'detection',
           jsonb_build_object('type', 'bbox', 'bbox', jsonb_build_array(n / $2::int, 1, 2, 3), 'image_width', 640,
                              'image_height', 480), 'c1', 'scratch', 2
    FROM generate_series(0, $3::int - 1) n
"""
# So many that the primary key is a level higher than the index by folders, in which equal folders stand once.
_OTHER_IMAGES = """
    INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, folder_path, size, width, height,
                                content_sha256, content_type, thumbnail_key, uploaded_at)
    SELECT $1::text, 'train/good/' || n, n || '.jpg', $1::text || '/' || n, 'train/good', 1000, 640, 480,
           md5(n::text) || md5(n::text), 'image/jpeg', $1::text || '/t/' || n, now() + n * interval '1 microsecond'
    FROM generate_series(1, $2::int) n
"""
_STATUSES = """
    INSERT INTO image_annotation_status
        (project_id, image_id, task_type, status, total_annotations, draft_annotations, first_modified_at,
         last_modified_at, no_object_annotations, counted_total, counted_modified_at)
    SELECT project_id, image_id, task_type, 'in-progress', count(*), count(*), min(created_at), max(updated_at),
           0, count(*), max(updated_at)
    FROM annotations WHERE project_id = $1 GROUP BY project_id, image_id, task_type
"""
_COUNT = """
    UPDATE annotation_projects SET total_annotations = $2, annotated_images = $3 WHERE id = $1
"""
_TABLES = (
    *("annotations", "image_annotation_status", "importing_images", "annotation_history", "image_locks"),
    "image_metadata",
)
_QUIET = " ".join(f"ALTER TABLE {table} SET (autovacuum_enabled = false);" for table in _TABLES)
_BLOCKS = """
    SELECT relname, (heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::int AS blocks
    FROM pg_statio_user_tables WHERE relname = ANY($1::text[])
"""

# An insert goes down each index of its table; a look at an image is one way down and its annotations.
BOUNDS = {
    "annotations": 2 * (_NAMED * (_OF_AN_IMAGE + 10) + _NAMED * _NEW * 20),
    "annotation_history": 2 * _NAMED * _NEW * 20,
    "image_annotation_status": 2 * _NAMED * 20,
    "importing_images": 2 * _NAMED * 20,
    "image_metadata": _NAMED * 20,  # the names of all are read once, to match those of the file
    "image_locks": _NAMED,  # looked at, and not written, though a file is judged before it is written
}


async def load(api: Api, dataset: Dataset, annotations: int) -> None:
    async with api.db.begin(long=True) as tx:
        await tx.execute(_LOAD, dataset.project_id, _IMAGES, annotations)
        await tx.execute("DELETE FROM image_annotation_status WHERE project_id = $1", dataset.project_id)
        await tx.execute(_STATUSES, dataset.project_id)
        await tx.execute(_COUNT, dataset.project_id, annotations, min(annotations, _IMAGES))


async def prepared(api: Api, known: str) -> Dataset:
    """A project of 200 000 annotations, and what PostgreSQL knows of it."""
    async with api.db.begin() as tx:
        await tx.execute(_QUIET)
    classes = {"detection": {"c1": {"name": "scratch", "color": "#ff0000", "order": 0}}}
    others = [await api.dataset(tasks=["detection"], classes=classes) for _ in range(20)]
    if known == "other projects":
        for other in others:
            await load(api, other, 1000)
            async with api.db.begin() as tx:
                await tx.execute(_OTHER_IMAGES, other.id, _IMAGES)
        await analyse(api)  # they hear nothing of this dataset's images either
    if known == "next to nothing, long ago":
        await keep_plans(api)
    dataset = await api.dataset(tasks=["detection"], images=_IMAGES, classes=classes)
    if known == "what it was":
        await load(api, dataset, 10)
        await analyse(api)
        async with api.db.begin() as tx:
            await tx.execute("DELETE FROM annotations WHERE project_id = $1", dataset.project_id)
    await load(api, dataset, _IMAGES * _OF_AN_IMAGE)
    return dataset


async def keep_plans(api: Api) -> None:
    """Import so often that the connections keep the plans of their statements: from a time with hardly any rows."""
    await analyse(api)
    small = await api.dataset(tasks=["detection"], images=1)
    for number in range(16):
        await take(api, small, coco([{"image_id": 1, "bbox": [number, 1, 2, 3]}], ["train/good/0000.jpg"]), force=True)


async def analyse(api: Api) -> None:
    async with api.db.begin() as tx:
        for table in _TABLES:
            await tx.execute(f"ANALYZE {table}")


async def blocks(api: Api) -> dict[str, int]:
    """Blocks that were looked at so far, of each table and its indexes; every connection tells what it knows first."""
    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(api.db.read()) for _ in range(api.db.size[0])]
        for connection in held:
            await connection.fetchval("SELECT pg_stat_force_next_flush()")
    found = await rows(api, _BLOCKS, list(_TABLES))
    return {row["relname"]: row["blocks"] for row in found}


@pytest.mark.parametrize("known", ["nothing", "other projects", "what it was", "next to nothing, long ago"])
async def test_files_for_a_large_project(api: Api, known: str) -> None:
    dataset = await prepared(api, known)
    before = await blocks(api)
    await add_to_some_images(api, dataset)
    after = await blocks(api)
    touched = {table: after[table] - before[table] for table in _TABLES}
    assert {table: number for table, number in touched.items() if number > BOUNDS[table]} == {}
    await check_counters(api, dataset)
    # Each annotation is looked at a few times, and none once for each other one.
    before = await blocks(api)
    await replace_all(api, dataset)
    after = await blocks(api)
    assert after["annotations"] - before["annotations"] < _IMAGES * _OF_AN_IMAGE * 12
    assert after["image_annotation_status"] - before["image_annotation_status"] < _IMAGES * 40
    await check_counters(api, dataset)


async def test_a_save_beside_an_import_meets_none_of_its_rows(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its plans were made when there was next to nothing, and nobody gathers statistics but the import.

    Of what is not committed statistics say nothing: that images differ they learn from another project.
    """
    async with api.db.begin() as tx:
        await tx.execute(_QUIET)
    dataset, other = [await api.dataset(tasks=["detection"], images=201) for _ in range(2)]
    browser = await api.login("owner")
    held, seen = asyncio.Event(), asyncio.Event()
    refresh = writing_store.refresh_statuses

    async def refresh_later(*args: Any, **options: Any) -> int:
        held.set()
        await seen.wait()
        return await refresh(*args, **options)

    async def save() -> None:
        answer = await browser.post("/api/v1/annotations", json=box(dataset))
        assert answer.is_success, answer.text

    for _ in range(10):
        await asyncio.gather(*(save() for _ in range(5)))  # every connection has its plans
    await load(api, other, 2000)
    monkeypatch.setattr(writing_store, "refresh_statuses", refresh_later)
    boxes = [{"image_id": 1 + n % 200, "bbox": [n, 1, 2, 3]} for n in range(20_000)]
    content = coco(boxes, [f"train/good/{number:04d}.jpg" for number in range(1, 201)])
    files = [("files", ("extra.png", picture())), ("annotation_file", ("a.json", content))]
    importing = asyncio.create_task(browser.post(f"/api/v1/datasets/{dataset.id}/images", files=files, timeout=300))
    await held.wait()
    before = await blocks(api)
    for _ in range(5):
        await save()
    after = await blocks(api)
    seen.set()
    assert (await importing).json()["annotations_imported"] == 20_000
    touched = (after["annotations"] - before["annotations"]) / 5
    assert touched < 300, "more than its own image has"
    await check_counters(api, dataset)


async def add_to_some_images(api: Api, dataset: Dataset) -> None:
    names = [f"train/good/{number:04d}.jpg" for number in range(_NAMED)]
    boxes = [
        {"image_id": 1 + image, "bbox": [0 if number == _NEW else 1000 + number, 1, 2, 3]}
        for image in range(_NAMED)
        for number in range(_NEW + 1)
    ]
    answer = await (await api.login("owner")).post(
        f"/api/v1/datasets/{dataset.id}/images",
        files=[("files", ("extra.png", picture())), ("annotation_file", ("a.json", coco(boxes, names)))],
        timeout=300,
    )
    report = answer.json()["import_report"]
    assert report["imported"] == _NAMED * _NEW, answer.text
    assert report["skipped"] == _NAMED, answer.text


async def replace_all(api: Api, dataset: Dataset) -> None:
    await stored(api, dataset, coco([{"image_id": 1, "bbox": [1, 1, 2, 3]}]))
    answer = await imported(await api.login("owner"), dataset, force=True)
    replaced = _IMAGES * _OF_AN_IMAGE + _NAMED * _NEW
    assert answer.status_code == 200, answer.text
    assert answer.json()["report"]["replaced"] == replaced, answer.text
