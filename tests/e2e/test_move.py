"""Both guides, followed literally: a running demo goes to another PostgreSQL and another object store, and back.

People annotate and upload all the time. Both moves end in equal checksums, and nothing that anybody was told is saved
is missing on the side that serves.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from labeler_ops.stack.object_store import PORT_COUNT, SeaweedServer
from labeler_ops.stack.ports import free_ports
from labeler_ops.storage.access import StorageAccess
from tests.e2e.moving import Front, Operator, Work, digest, everything_there, run_id
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.storage import may_delete
from tests.labeler_ops.stack.running import Up, log_in

PEOPLE = 20


@dataclass(frozen=True)
class Runs:
    """The two runs of a move."""

    database: str
    storage: str


JWT = {"JWT_SECRET_KEY": "the-same-on-both-sides-of-a-move-0123456789"}


@pytest.fixture
async def new_store(tmp_path: Path) -> AsyncIterator[SeaweedServer]:
    """What R2 is in production."""
    server = SeaweedServer(tmp_path / "new-store", free_ports(PORT_COUNT), "new-key", "new-secret-key")
    await server.start()
    yield server
    await server.stop()


def exported(facts: dict[str, Any], secrets: dict[str, str], new_database: str, new: SeaweedServer) -> dict[str, str]:
    """What the operator exports at the guides' beginning."""
    return {
        "SOURCE_DATABASE_URL": facts["databases"]["labeler"],
        "TARGET_DATABASE_URL": new_database,
        "LABELER_DB_URL": facts["databases"]["labeler"],
        "SOURCE_S3_ENDPOINT": facts["storage"],
        "SOURCE_S3_ACCESS_KEY": secrets["s3_access_key"],
        "SOURCE_S3_SECRET_KEY": secrets["s3_secret_key"],
        "TARGET_S3_ENDPOINT": new.access.endpoint,
        "TARGET_S3_ACCESS_KEY": new.access.access_key,
        "TARGET_S3_SECRET_KEY": new.access.secret_key,
        "LABELER_SMOKE_PASSWORD": next(one["password"] for one in facts["accounts"] if one["role"] == "owner"),
    }


async def a_database_of_old(facts: dict[str, Any], secrets: dict[str, str]) -> str:
    """Do `createdb -O labeler back` on the old server."""
    old = urlsplit(facts["databases"]["labeler"])
    admin = await asyncpg.connect(
        host=old.hostname,
        port=old.port,
        user="labeler_admin",
        password=secrets["postgres_superuser"],
        database="postgres",
    )
    await admin.execute("CREATE DATABASE back OWNER labeler TEMPLATE template0")
    await admin.close()
    return str(old._replace(path="/back").geturl())


def at_work(facts: dict[str, Any], front: Front) -> Work:
    """The demo's owner, logged in, on the demo's first project."""
    with log_in(facts) as client:
        dataset = client.get("/datasets").json()[0]["id"]
        project = client.get(f"/datasets/{dataset}/project").json()["id"]
        images = client.get(f"/projects/{project}/images").json()["images"]
        headers = {"Authorization": client.headers["authorization"]}
    return Work(front.url, dataset, project, headers, [image["id"] for image in images])


async def go_there(operator: Operator) -> Runs:
    """The objects while people work; then, in one stop, the database, the rest of the objects, and both proofs."""
    objects = run_id(await operator.run("storage", "copy"))
    rows = run_id(moved := await operator.run("db", "migrate"))
    await operator.run("storage", "copy", "--resume", objects)
    proved = await operator.run("storage", "verify", "--run", objects)
    await operator.run("storage", "switch", "--run", objects)
    assert digest(moved)
    assert digest(proved)
    return Runs(rows, objects)


async def look_and_open(operator: Operator, runs: Runs, api: str) -> None:
    """Look at the deployment, let people write, and look once more."""
    look = ("smoke", "--url", api, "--email", "owner@example.com")
    await operator.run(*look, "--read-only")
    await operator.run("db", "open", "--run", runs.database)
    await operator.run(*look)


async def go_back(operator: Operator, runs: Runs, into: str) -> None:
    """Everything goes into a new database beside the old one, and into the old store."""
    moved = await operator.run("db", "rollback", "--run", runs.database, "--into", into)
    proved = await operator.run("storage", "rollback", "--run", runs.storage, "--url", into)
    assert digest(moved)
    assert digest(proved)


def say(text: str) -> None:
    print(text)  # noqa: T201 - worth a look: pytest -s


@pytest.mark.slow
async def test_a_running_demo_is_moved_and_moved_back(
    create_database: DatabaseFactory, new_store: SeaweedServer, tmp_path: Path
) -> None:
    new_database = await create_database()
    with Up(tmp_path / "old", files=tmp_path / "old-files", **JWT) as old:
        facts = await asyncio.to_thread(old.ready)
        secrets = msgspec.json.decode((tmp_path / "old" / "secrets.json").read_bytes())
        operator = Operator(tmp_path, exported(facts, secrets, new_database, new_store))
        people = {"USER_DB_URL": facts["databases"]["users"], "PLATFORM_DB_URL": facts["databases"]["platform"], **JWT}
        async with Front(facts["api"]) as front:
            work = at_work(facts, front)
            async with work.going_on(PEOPLE):
                await work.progress()
                there = await go_there(operator)
                new = operator.environment_of(there.storage, "environment.new")
                new |= operator.environment_of(there.database, "environment.new")
                with Up(tmp_path / "new", files=tmp_path / "new-files", **people, **new) as moved:
                    api = (await asyncio.to_thread(moved.ready))["api"]
                    await front.deploy(api)
                    await look_and_open(operator, there, api)
                    await work.progress()
                    say(f"there: {work.measure():.1f} s without an acknowledged save")
                    await everything_there(api, new_database, work)
                    # The id lies in the database, the tie in the bucket: both have moved, so that deletion goes on.
                    assert await may_delete(new_database, new_store.access) == [True, True]
                    back = await a_database_of_old(facts, secrets)
                    await go_back(operator, there, back)
                    old_again = operator.environment_of(there.storage, "environment.rollback")
                    old_again |= operator.environment_of(there.database, "environment.rollback")
                    with Up(tmp_path / "back", files=tmp_path / "back-files", **people, **old_again) as again:
                        await front.deploy((await asyncio.to_thread(again.ready))["api"])
                        await work.progress()
                        say(f"back: {work.measure():.1f} s without an acknowledged save")
                        await everything_there(front.url, back, work)
                        old_store = StorageAccess(facts["storage"], secrets["s3_access_key"], secrets["s3_secret_key"])
                        assert await may_delete(back, old_store) == [True, True]
    saved = f"{len(work.annotations)} annotations and {len(work.images)} images were acknowledged"
    say(f"{saved}, {work.refused} requests refused, {work.broken} cut off")
    assert work.refused > 0
