"""The number of `no_object`s that a status row keeps: counted by the upgrade, which nobody waits for."""

import asyncio
from importlib import import_module
from threading import Thread

import asyncpg
import pytest

from labeler_ops.database.schema_check import check
from labeler_ops.database.upgrade import upgrade
from labeler_ops.errors import DatabaseError
from tests.fixtures.production import run_sql

_REVISION = import_module("labeler_api.migrations.versions.2026_11_29_1940_no_objects_of_a_status")

# Three images with one, two and three annotations; the second one has a no_object, the third two of another task.
_FILL = (
    "INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('ds_1', 'x', 2, 'x')",
    "INSERT INTO annotation_projects (id, name, dataset_id, owner_id, task_types, task_config, task_classes)"
    " VALUES ('proj_1', 'x', 'ds_1', 2, '{detection}', '{}', '{}')",
    "INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)"
    " SELECT 'proj_1', image, kind, task, '{}', 2 FROM (VALUES ('a', 'bbox', 'detection'), ('b', 'bbox', 'detection'),"
    " ('b', 'no_object', 'detection'), ('c', 'bbox', 'detection'), ('c', 'no_object', 'segmentation'),"
    " ('c', 'no_object', 'segmentation')) AS v (image, kind, task)",
    "INSERT INTO image_annotation_status (project_id, image_id, task_type, status, first_modified_at, last_modified_at,"
    " total_annotations)"
    " SELECT project_id, image_id, task_type, 'in-progress', min(created_at), max(updated_at), count(*)"
    " FROM annotations GROUP BY project_id, image_id, task_type",
)
_COUNTS = (
    "SELECT image_id, task_type, no_object_annotations AS number,"
    " counted_total = total_annotations AND counted_modified_at = last_modified_at AS is_true"
    " FROM image_annotation_status ORDER BY image_id, task_type"
)


async def counts(dsn: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await run_sql(dsn, _COUNTS)]


async def test_the_upgrade_counts_and_goes_on_after_a_crash(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_REVISION, "_BATCH", 2)

    def crash(revision: str) -> None:
        if revision == str(_REVISION.__doc__).partition("\n")[0]:
            statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            where = " WHERE application_name = 'labeler-migrations' AND datname = current_database()"
            thread = Thread(target=lambda: asyncio.run(run_sql(empty_dsn, *_FILL, statement + where)))
            thread.start()
            thread.join()

    with pytest.raises(DatabaseError):
        await upgrade(empty_dsn, progress=crash)
    assert {number for _, _, number, _ in await counts(empty_dsn)} == {None}, "filled after the count, and then cut off"
    await upgrade(empty_dsn)
    assert await check(empty_dsn) == []
    assert await counts(empty_dsn) == [
        ("a", "detection", 0, True),
        ("b", "detection", 1, True),
        ("c", "detection", 0, True),
        ("c", "segmentation", 2, True),
    ]


async def test_rows_that_somebody_writes_are_passed_by(labeler_dsn: str) -> None:
    await run_sql(labeler_dsn, *_FILL)
    writer = await asyncpg.connect(labeler_dsn)
    async with writer.transaction():
        await writer.execute("SELECT FROM image_annotation_status WHERE image_id = 'b' FOR UPDATE")
        async with asyncio.timeout(20):
            await run_sql(labeler_dsn, _REVISION._COUNT.format(after=0, batch=2000))
    await writer.close()
    assert [number for _, _, number, _ in await counts(labeler_dsn)] == [0, None, 0, 2]
