"""Production as it is today: three databases with roles, grants and settings of their own, and what writes there."""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from labeler_ops.maintenance import fence
from tests.fixtures.pictures import picture
from tests.fixtures.sql import execute, fetchval
from tests.fixtures.stored_objects import Objects

DATASET, PROJECT = "ds_00000000000000a1", "proj_000000000001"
IMAGES = 60  # of production's 1,725: those that have annotations, and some more
ORPHANS = 127  # annotations of projects without a dataset
ZONE = "Asia/Seoul"
_PASSWORD = "theirs"
_PAUSE_SECONDS = 0.2  # between two writes; without it they take the processors from what moves them
_KEY = f"datasets/{DATASET}/images/"

# Roles are a server's: every server that knows the databases has them.
ROLES = """
    CREATE ROLE {p}_owner;
    CREATE ROLE {p}_service LOGIN PASSWORD 'theirs'; CREATE ROLE {p}_analyst LOGIN PASSWORD 'theirs';
"""
# One owns, one writes, one may read what there is and what will be; not everybody may connect or execute.
_GRANTS = """
    ALTER TABLE {table} OWNER TO {p}_owner;
    GRANT SELECT, INSERT, UPDATE ON {table} TO {p}_service;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {p}_service;
    GRANT SELECT ON {table} TO {p}_analyst;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {p}_analyst;
    CREATE FUNCTION secret() RETURNS int LANGUAGE sql AS 'SELECT 1';
    REVOKE EXECUTE ON FUNCTION secret() FROM PUBLIC; GRANT EXECUTE ON FUNCTION secret() TO {p}_service;
    REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC;
    GRANT CONNECT ON DATABASE {name} TO {p}_service, {p}_analyst;
    ALTER DATABASE {name} SET timezone = 'Asia/Seoul';
    ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read';
"""
_IMAGE, _THUMBNAIL = picture(64, 48, "PNG"), picture(16, 12)
_FEWER = f"""
    DELETE FROM image_metadata WHERE right(id, 4)::int > {IMAGES}; UPDATE image_metadata SET size = {len(_IMAGE)};
    ALTER TABLE project_permissions OWNER TO {{p}}_owner;
"""
_DRAW = f"""
    WITH drawn AS (
        INSERT INTO annotations (project_id, image_id, annotation_type, geometry, class_id, class_name, attributes,
                                 created_by, is_verified, created_at, updated_at, task_type, version)
        VALUES ('{PROJECT}', 'images/zipper/good/0001', 'bbox', '{{"type": "bbox", "bbox": [1, 2, 3, 4]}}', 'a1b2c3d4',
                'crack', '{{}}', 2, false, timezone('UTC', now()), timezone('UTC', now()), 'detection', 1)
        RETURNING id
    ), noted AS (
        INSERT INTO annotation_history (annotation_id, project_id, action, previous_state, new_state, changed_by,
                                        timestamp)
        SELECT id, '{PROJECT}', 'create', 'null', '{{}}', 2, timezone('UTC', now()) FROM drawn
    )
    SELECT id FROM drawn
"""
_UPLOADED = f"""
    INSERT INTO image_metadata (id, dataset_id, file_name, s3_key, folder_path, size, uploaded_at, last_modified)
    VALUES ($1::text, '{DATASET}', $2, '{_KEY}' || $1 || '.png', 'moved', $3, timezone('UTC', now()),
            timezone('UTC', now()))
"""
# Its times are filled in by the server, in the zone of the database.
_MADE = """
    INSERT INTO datasets (id, name, owner_id, storage_path)
    VALUES ('ds_made_now', 'made now', 2, 'datasets/ds_made_now/')
"""
THEIRS = {
    "users": "INSERT INTO users (email, hashed_password, system_role) VALUES ($1, 'x', 'manager') RETURNING id",
    "platform": "INSERT INTO organizations (name, company) VALUES ($1, 'x') RETURNING id",
}
"""What the platform's own service writes."""


@dataclass
class Old:
    """URLs of the superuser by the database's name."""

    urls: dict[str, str]
    prefix: str
    made_at: datetime

    def as_role(self, url: str, role: str) -> str:
        """A URL for one of the roles."""
        return as_role(url, f"{self.prefix}_{role}", _PASSWORD)


def as_role(url: str, role: str, password: str) -> str:
    """The same database for another role."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    return urlsplit(url)._replace(netloc=f"{role}:{quote(password)}@{host}").geturl()


async def furnished(urls: dict[str, str], prefix: str, objects: Objects) -> Old:
    """Make production of databases that have its tables and rows, and of an empty store."""
    await execute(urls["labeler"], ROLES.format(p=prefix))
    await execute(urls["labeler"], _FEWER.format(p=prefix))
    await execute(urls["platform"], "SELECT setval('organizations_id_seq', 2), setval('workspaces_id_seq', 3)")
    for name, table in (("labeler", "annotations"), ("users", "users"), ("platform", "organizations")):
        await execute(urls[name], _GRANTS.format(p=prefix, table=table, name=urlsplit(urls[name]).path[1:]))
    await execute(urls["labeler"], _MADE)
    names = [f"images/zipper/good/{n:04}" for n in range(1, IMAGES + 1)]
    await asyncio.gather(*(_put(objects, name, _IMAGE) for name in names))
    return Old(urls, prefix, datetime.now(UTC))


async def _put(objects: Objects, name: str, content: bytes) -> None:
    """Put an image and its thumbnail as uploads do."""
    await objects.put(f"{_KEY}{name}.png", content, {"content-type": "image/png"})
    thumbnail = f"{_KEY.replace('/images/', '/thumbnails/')}{name}.jpg"
    await objects.put(thumbnail, _THUMBNAIL, {"content-type": "image/jpeg"})


@dataclass
class Writer:
    """Something that writes to a database all the time, what it was told is saved, and how often it was refused."""

    url: str
    save: Callable[["asyncpg.Connection[asyncpg.Record]", int], Awaitable[int]]
    saved: list[int] = field(default_factory=list)
    refused: int = 0

    async def work(self) -> None:
        """Write until cancelled, wherever `url` leads by then."""
        connection, connected = await asyncpg.connect(self.url), self.url
        try:
            for number in itertools.count():
                if connected != self.url:
                    await connection.close()
                    connection, connected = await asyncpg.connect(self.url), self.url
                try:
                    self.saved.append(await self.save(connection, number))
                except asyncpg.PostgresError as error:
                    if error.sqlstate != fence.SQLSTATE:
                        raise
                    self.refused += 1
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            await connection.close()

    async def progress(self, saves: int = 5) -> None:
        """Wait until so many more were saved."""
        wanted = len(self.saved) + saves
        async with asyncio.timeout(60):
            while len(self.saved) < wanted:  # noqa: ASYNC110 - a task of the test's writes
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def at_work(writers: Sequence[Writer]) -> AsyncIterator[None]:
    """Let them write until the block ends."""
    tasks = [asyncio.create_task(writer.work()) for writer in writers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}, outcomes


def old_backend(old: Old, objects: Objects, images: dict[str, bytes]) -> Writer:
    """The backend of today: annotations with their history, and every third time an image, noted in `images`."""

    async def save(connection: "asyncpg.Connection[asyncpg.Record]", number: int) -> int:
        saved: int = await connection.fetchval(_DRAW)
        if number % 3 == 0:
            name, content = f"moved/old-{number}", picture(8 + number, 9, "PNG")
            await _put(objects, name, content)
            await connection.execute(_UPLOADED, name, f"old-{number}.png", len(content))
            images[name] = content
        return saved

    return Writer(old.urls["labeler"], save)


def service(old: Old, database: str) -> Writer:
    """The platform's own service on one of its databases."""

    async def save(connection: "asyncpg.Connection[asyncpg.Record]", number: int) -> int:
        saved: int = await connection.fetchval(THEIRS[database], f"{secrets.token_hex(8)}-{number}")
        return saved

    return Writer(old.as_role(old.urls[database], "service"), save)


async def require_grants(old: Old, urls: dict[str, str], tables: dict[str, str]) -> None:
    """Each role may do on this side what it may do in production, and no more; settings are there as well."""
    for name, url in urls.items():
        table, analyst, works = tables[name], old.as_role(url, "analyst"), old.as_role(url, "service")
        assert await fetchval(analyst, f"SELECT count(*) > 0 FROM {table}") is True
        assert await fetchval(works, "SELECT secret()") == 1
        for refused in (f"DELETE FROM {table}", "SELECT secret()"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await execute(analyst, refused)
        assert await fetchval(analyst, "SHOW timezone") == ZONE
        assert await fetchval(analyst, "SHOW default_transaction_isolation") == "repeatable read"
        owner = "labeler" if name == "labeler" else f"{old.prefix}_owner"
        assert await fetchval(url, "SELECT tableowner::text FROM pg_tables WHERE tablename = $1", table) == owner
        maker = as_role(url, "labeler", "labeler") if name == "labeler" else url
        await execute(maker, "CREATE TABLE later (id int)")
        assert await fetchval(analyst, "SELECT count(*) FROM later") == 0
        await execute(maker, "DROP TABLE later")
        everybody = "SELECT has_database_privilege('pg_monitor', current_database(), 'CONNECT')"
        assert await fetchval(url, everybody) is False
