"""Versions of before rows were shared: the same bytes after the migration, and beside an API that still makes them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from labeler_api.app import create_app, open_services
from labeler_api.migrations import DIRECTORY
from labeler_api.migrations.engine import engine
from labeler_api.versions.publishing import store as publishing_store
from labeler_ops.database.schema_check import check
from labeler_ops.database.upgrade import upgrade
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.versions import CLASSES, RING, annotate, annotation, published

_BEFORE = "20261129_2000"
_IMAGES = ["b", "a", "Ä"]
_MADE = Dataset(id="ds_1", project_id="proj_1", image_ids=_IMAGES)

# What the API of before ran: a whole copy, and the rows of a version by the version's id.
_FREEZE = """
    INSERT INTO annotation_snapshots (version_id, annotation_id, snapshot_data)
    SELECT $1, a.id, to_jsonb(a) || jsonb_build_object('image', jsonb_build_object(
        'file_name', concat_ws('/', NULLIF(i.folder_path, ''), i.file_name), 'width', i.width, 'height', i.height,
        'confirmed_at', NULL))
    FROM annotations a LEFT JOIN image_metadata i ON i.dataset_id = 'ds_1' AND i.id = a.image_id
    WHERE a.project_id = 'proj_1' AND a.annotation_state <> 'draft'
"""
_FROZEN = """
    SELECT snapshot_data::text AS annotation FROM annotation_snapshots WHERE version_id = $1
    ORDER BY snapshot_data ->> 'image_id' COLLATE "C", annotation_id
"""
_VERSION = """
    INSERT INTO annotation_versions
        (project_id, task_type, version_number, version_type, created_by, annotation_count, image_count, export_format)
    VALUES ('proj_1', 'detection', $1, 'published', 2, 4, 3, 'dice') RETURNING id
"""


class Before:
    """The API of before, of which only publishing is left."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.execute = connection.execute
        self._connection = connection

    async def publish(self, number: str) -> int:
        version_id: int = await self._connection.fetchval(_VERSION, number)
        await self._connection.execute(_FREEZE, version_id)
        return version_id

    async def content(self, version_id: int) -> list[str]:
        return [row["annotation"] for row in await self._connection.fetch(_FROZEN, version_id)]


@pytest.fixture
async def dsn(create_database: DatabaseFactory) -> AsyncIterator[str]:
    """A database of the revision before, with a project in it."""
    dsn = await create_database()
    database = engine(dsn)
    async with database.connect() as connection:
        await connection.run_sync(_to_before)
    await database.dispose()
    yield dsn
    await create_database.drop(dsn)


def _to_before(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(DIRECTORY))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection)
    command.upgrade(config, _BEFORE)


@pytest.fixture
async def before(dsn: str) -> AsyncIterator[Before]:
    connection = await asyncpg.connect(dsn)
    classes = msgspec.json.encode(CLASSES).decode()
    await connection.execute(
        "INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('ds_1', 'One', 2, 'datasets/ds_1/')"
    )
    await connection.execute(
        "INSERT INTO annotation_projects (id, name, dataset_id, owner_id, task_types, task_config, task_classes)"
        " VALUES ('proj_1', 'One', 'ds_1', 2, ARRAY['detection'], '{}', $1)",
        classes,
    )
    await connection.execute(
        "INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES ('proj_1', 2, 'owner', 2)"
    )
    await connection.execute(
        "INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, size, width, height)"
        " SELECT 'ds_1', name, name || '.jpg', 'datasets/ds_1/images/' || name || '.jpg', 1, 640, 480"
        " FROM unnest($1::text[]) name",
        _IMAGES,
    )
    yield Before(connection)
    await connection.close()


@pytest.fixture
async def upgraded(api: Api, dsn: str, before: Before) -> AsyncIterator[Api]:
    """The API of now on that database. `before` has published `v1.0` and `v2.0`."""
    async with AsyncExitStack() as stack:
        await before.execute(
            "INSERT INTO annotations (project_id, image_id, annotation_type, geometry, task_type, class_id, class_name,"
            " attributes, annotation_state, created_by) SELECT 'proj_1', name, 'bbox',"
            " '{\"bbox\": [1.50, 2, 3e2, 4], \"type\": \"bbox\"}', 'detection', 'c_cat', 'cat',"
            " jsonb_build_object('n', name), 'confirmed', 4 FROM unnest($1::text[]) name",
            [*_IMAGES, "b"],
        )
        await before.publish("v1.0")
        await before.execute("UPDATE annotations SET notes = 'new' WHERE image_id = 'a'")
        await before.publish("v2.0")
        await upgrade(dsn)
        assert await check(dsn) == []
        settings = msgspec.structs.replace(api.services.settings, labeler_db_url=dsn)
        services = await open_services(settings, stack)
        running = Api(create_app(settings, services), services)
        stack.push_async_callback(running.close)
        yield running


async def _content(api: Api, version_id: int) -> list[str]:
    async with api.db.snapshot() as snapshot:
        return [text async for text in publishing_store.frozen(snapshot, version_id)]


async def _stored(api: Api) -> int:
    async with api.db.read() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM annotation_snapshots"))


async def test_versions_of_before_are_what_they_were_and_share_their_rows(upgraded: Api, before: Before) -> None:
    contents = {version: await before.content(version) for version in (1, 2)}
    assert [len(content) for content in contents.values()] == [4, 4]
    assert {version: await _content(upgraded, version) for version in contents} == contents

    owner = await upgraded.login("owner")
    third = await published(owner, _MADE)
    assert await _stored(upgraded) == 8  # all of it was there
    assert await _content(upgraded, third["id"]) == contents[2]
    await annotate(upgraded, _MADE, annotation("a", "polygon", RING, task_type="detection"))
    fourth = await published(owner, _MADE)

    assert await _stored(upgraded) == 9
    assert len(await _content(upgraded, fourth["id"])) == 5
    assert {version: await _content(upgraded, version) for version in contents} == contents
    assert {version: await before.content(version) for version in contents} == contents


async def test_the_api_of_before_goes_on_beside_the_new_one(upgraded: Api, before: Before) -> None:
    owner = await upgraded.login("owner")
    versions: list[tuple[int, Any]] = []
    for number in (3, 5, 7):
        await before.execute("UPDATE annotations SET notes = $1 WHERE image_id = 'b'", str(number))
        theirs = await before.publish(f"v{number}.0")
        assert await _content(upgraded, theirs) == await before.content(theirs)
        ours = (await published(owner, _MADE, version_number=f"v{number + 1}.0"))["id"]
        assert await _content(upgraded, ours) == await before.content(theirs)
        versions += [(theirs, await before.content(theirs)), (ours, await _content(upgraded, ours))]

    assert [(version, await _content(upgraded, version)) for version, _ in versions] == versions
