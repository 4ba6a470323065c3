"""A filled Labeler DB, its objects, and a bucket for backups."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from labeler_ops.cli import app
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.buckets import connect
from labeler_ops.storage.sides import variables
from tests.fixtures.buckets import delete_buckets, own_buckets
from tests.fixtures.postgres import DatabaseFactory
from tests.labeler_ops.storage.stores import fill, objects

FILLED = """
    INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('ds_1', '하나', 2, 'datasets/ds_1/');
    INSERT INTO annotation_projects (id, name, dataset_id, owner_id) VALUES ('proj_1', 'One', 'ds_1', 2);
    INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)
    SELECT 'proj_1', n::text, 'bbox', 'detection', '{}', 2 FROM generate_series(1, 500) n;
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = ''Asia/Seoul''', current_database()); END $$;
"""
_numbers = itertools.count()


async def execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def count(dsn: str, table: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
    finally:
        await connection.close()


@dataclass
class Operator:
    """Types `labeler backup …` with an environment of its own."""

    environ: Mapping[str, str]

    async def __call__(self, *arguments: str, **environ: str) -> Result:
        runner = CliRunner()
        given = {"BACKUP_PLACE": None, "LABELER_DB_URL": None, **self.environ, **environ, "COLUMNS": "200"}
        return await asyncio.to_thread(
            lambda: runner.invoke(app, ["backup", *arguments], env=given, catch_exceptions=False)
        )

    async def json(self, *arguments: str, **environ: str) -> Any:
        done = await self(*arguments, "--json", **environ)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest.fixture
async def source(labeler_dsn: str) -> str:
    await execute(labeler_dsn, FILLED)
    return labeler_dsn


@pytest.fixture
async def store(object_store: SeaweedServer) -> AsyncIterator[StorageAccess]:
    """The labeler's own store, with a hundred objects in it."""
    number = next(_numbers)
    names = {"datasets_bucket": f"kept-images-{number}", "annotations_bucket": f"kept-exports-{number}"}
    access = replace(object_store.access, **names)
    async with own_buckets(access):
        async with objects(access) as opened:
            await fill(opened, 40)
        yield access


@pytest.fixture
async def bucket(object_store: SeaweedServer) -> AsyncIterator[str]:
    """A bucket for backups."""
    name = f"backups-{next(_numbers)}"
    async with connect(object_store.access) as client:
        await client.create_bucket(Bucket=name)
    yield name
    await delete_buckets(object_store.access, name)


@pytest.fixture
def operator(source: str, store: StorageAccess, object_store: SeaweedServer, bucket: str) -> Operator:
    access = object_store.access
    return Operator(
        {
            "BACKUP_PLACE": f"s3://{bucket}/nightly",
            "BACKUP_S3_ENDPOINT": access.endpoint,
            "BACKUP_S3_ACCESS_KEY": access.access_key,
            "BACKUP_S3_SECRET_KEY": access.secret_key,
            "LABELER_DB_URL": source,
            **variables(store),
        }
    )


@pytest.fixture
def folder(source: str, tmp_path: Path) -> Operator:
    """The same with a folder, and without objects: for what needs no store."""
    return Operator({"BACKUP_PLACE": str(tmp_path / "backups"), "LABELER_DB_URL": source})


@pytest.fixture
async def empty(create_database: DatabaseFactory) -> AsyncIterator[str]:
    dsn = await create_database()
    yield dsn
    await create_database.drop(dsn)


def named(dsn: str, name: str) -> str:
    """Another database of the same server."""
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()
