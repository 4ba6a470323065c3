"""The rehearsal: production as it is today goes to other servers, upgraded, and back, while everybody works.

Three databases with roles, grants and settings of their own are moved at once, the Labeler DB from the schema of the
backend before; the services come to the new ones through a PgBouncer. Both ways end in equal checksums, and nothing
that anybody was told is saved is missing on the side that serves.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from labeler_ops.move import move_report
from labeler_ops.runs import Run
from labeler_ops.stack.postgres import PostgresServer
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.bucket_tie import adopt
from tests.e2e import legacy
from tests.e2e.moving import COMMAND_SECONDS, DIGEST, Operator, Work, everything_there
from tests.fixtures.move_variables import variables
from tests.fixtures.moving_address import MovingAddress
from tests.fixtures.pgbouncer import pooling
from tests.fixtures.platform import READER_PASSWORD as PLATFORM_PASSWORD
from tests.fixtures.postgres import DatabaseFactory, temporary_server
from tests.fixtures.production import production_template  # noqa: F401 - a fixture
from tests.fixtures.running_stack import Up, log_in
from tests.fixtures.sql import execute, fetchval
from tests.fixtures.storage import may_delete
from tests.fixtures.stored_objects import Objects
from tests.fixtures.users import READER_PASSWORD, UsersDatabase

PEOPLE = 20
UNTIL = "while [ ! -e {} ]; do sleep 0.05; done"
JWT = {"JWT_SECRET_KEY": "the-same-on-both-sides-of-a-move-0123456789"}
OWNER = {"email": "owner@example.com", "password": "owner123", "role": "owner"}
LABELER = ("labeler", "labeler")
PASSWORDS = {"labeler": LABELER[1], "users": READER_PASSWORD, "platform": PLATFORM_PASSWORD}
TABLES = {"labeler": "annotations", "users": "users", "platform": "organizations"}
NAMES = tuple(TABLES)


@pytest.fixture
async def new_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    """Where production moves to."""
    async with temporary_server(tmp_path_factory) as server:
        yield server


@pytest.fixture
async def old(
    create_database: DatabaseFactory,
    production_template: str,  # noqa: F811 - the fixture
    clone_users: Callable[[], "asyncio.Future[UsersDatabase]"],
    platform_template: str,
    source_objects: Objects,
) -> legacy.Old:
    """Production."""
    urls = {
        "labeler": await create_database(production_template),
        "users": (await clone_users()).admin_dsn,
        "platform": await create_database(platform_template),
    }
    return await legacy.furnished(urls, f"rehearsed_{secrets.token_hex(3)}", source_objects)


def exported(side: str, access: StorageAccess) -> dict[str, str]:
    return {
        f"{side}_S3_ENDPOINT": access.endpoint,
        f"{side}_S3_ACCESS_KEY": access.access_key,
        f"{side}_S3_SECRET_KEY": access.secret_key,
        f"{side}_S3_BUCKET_DATASETS": access.datasets_bucket,
        f"{side}_S3_BUCKET_ANNOTATIONS": access.annotations_bucket,
    }


def operators(
    directory: Path, sources: dict[str, str], targets: dict[str, str], stores: Sequence[StorageAccess]
) -> dict[str, Operator]:
    """One for each database, with what the guides let them export."""
    return {
        name: Operator(
            directory,
            {
                "SOURCE_DATABASE_URL": sources[name],
                "TARGET_DATABASE_URL": targets[name],
                "LABELER_LEGACY_TIMEZONE": legacy.ZONE,
                "LABELER_ROLE_PASSWORD": PASSWORDS[name],
                "LABELER_SMOKE_PASSWORD": OWNER["password"],
                **exported("SOURCE", stores[0]),
                **exported("TARGET", stores[1]),
            },
        )
        for name in NAMES
    }


async def databases(server: PostgresServer, *names: str) -> list[str]:
    for name in names:
        await execute(server.dsn("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
    return [server.dsn(name) for name in names]


def runs(name: str) -> tuple[str, str]:
    return "--runs", f"runs-{name}"


async def moved(
    people: dict[str, Operator],
    front: MovingAddress,
    up: Callable[[dict[str, str]], Up],
    home: Path,
    command: str,
    **into: str,
) -> str:
    """Give a command for all three databases at once, and deploy when the Labeler DB's asks for it; what that one said.

    Its hook waits for the services, which come up with the environments that the three runs wrote.
    """
    asked, deployed = home / f"{command}.env", home / f"{command}.deployed"
    hook = f'cp "$LABELER_NEW_ENVIRONMENT" {asked}.partial && mv {asked}.partial {asked} && {UNTIL.format(deployed)}'
    look = ("--deploy", hook, "--smoke-url", front.url, "--smoke-email", OWNER["email"], "--wait", "60")
    arguments = {name: [command, *runs(name), *(["--into", into[name]] if into else [])] for name in NAMES}
    if command == "run":
        arguments["labeler"] += ["--accept-quarantine"]
        for name in ("users", "platform"):
            arguments[name] += ["--database", name]
    works = {
        name: asyncio.create_task(people[name].run("move", *given, *(look if name == "labeler" else ())))
        for name, given in arguments.items()
    }
    await asyncio.gather(works["users"], works["platform"])
    async with asyncio.timeout(COMMAND_SECONDS):
        while not asked.exists():
            if works["labeler"].done():
                raise AssertionError(await works["labeler"])
            await asyncio.sleep(0.02)
    written = "environment.new" if command == "run" else "environment.rollback"
    environment: dict[str, str] = {}
    for name in NAMES:
        ((path),) = (home / f"runs-{name}").glob(f"*/{written}")
        environment |= variables(path)
    await front.deploy((await asyncio.to_thread(up(environment).ready))["api"])
    deployed.touch()
    return await works["labeler"]


def at_work(front: MovingAddress) -> Work:
    """The owner of production's dataset, logged in."""
    with log_in({"api": front.url, "accounts": [OWNER]}) as client:
        images = client.get(f"/projects/{legacy.PROJECT}/images").json()["images"]
        headers = {"Authorization": client.headers["authorization"]}
    return Work(front.url, legacy.DATASET, legacy.PROJECT, headers, [image["id"] for image in images])


@pytest.mark.slow
async def test_production_is_moved_and_moved_back(
    old: legacy.Old,
    new_server: PostgresServer,
    stores: tuple[StorageAccess, StorageAccess],
    source_objects: Objects,
    create_database: DatabaseFactory,
    tmp_path: Path,
) -> None:
    await execute(new_server.dsn("postgres"), legacy.ROLES.format(p=old.prefix))
    new = dict(zip(NAMES, await databases(new_server, *NAMES), strict=True))
    people = operators(tmp_path, old.urls, new, stores)
    images: dict[str, bytes] = {}
    backend, *services = writers = [
        legacy.old_backend(old, source_objects, images),
        *(legacy.service(old, name) for name in ("users", "platform")),
    ]
    async with AsyncExitStack() as stack:
        pooler = await stack.enter_async_context(pooling(new_server.port, dict([LABELER]), tmp_path))
        front = await stack.enter_async_context(MovingAddress("http://127.0.0.1:1"))
        people["labeler"].environment["TARGET_PRIVATE_ADDRESS"] = pooler

        def up(name: str, environment: dict[str, str]) -> Up:
            return stack.enter_context(Up(tmp_path / name, files=tmp_path / f"{name}-files", **JWT, **environment))

        async with legacy.at_work(writers):
            await asyncio.gather(*(writer.progress() for writer in writers))
            there = await moved(people, front, lambda new: up("new", new), tmp_path, "run")
            for writer, name in zip(services, ("users", "platform"), strict=True):
                writer.url = old.as_role(new[name], "service")
            await asyncio.gather(*(people[name].run("move", "open", *runs(name)) for name in ("users", "platform")))
            await asyncio.gather(*(writer.progress() for writer in services))
        assert all(writer.refused for writer in writers)
        require_proofs(there, back=False)
        await require_whole(old, new, backend, services)
        await legacy.require_grants(old, new, TABLES)

        work = await asyncio.to_thread(at_work, front)
        work.annotations |= set(backend.saved)
        work.images |= images
        await everything_there(front.url, new["labeler"], work)
        await adopt(new["labeler"], stores[1])  # the old backend tied no bucket to its database

        home = {name: await create_database() for name in NAMES}
        async with work.going_on(PEOPLE), legacy.at_work(services):
            await work.progress()
            back = await moved(people, front, lambda new: up("back", new), tmp_path, "rollback", **home)
            for writer, name in zip(services, ("users", "platform"), strict=True):
                writer.url = old.as_role(home[name], "service")
            await work.progress()
            await asyncio.gather(*(writer.progress() for writer in services))
        require_proofs(back, back=True)
        await everything_there(front.url, home["labeler"], work)
        await require_saved(home, services)
        await legacy.require_grants(old, home, TABLES)
        assert await may_delete(home["labeler"], stores[0]) == [True, True]
    for name in NAMES:
        (run,) = (tmp_path / f"runs-{name}").glob("*-move-*")  # one run, one journal, there and back
        assert move_report.read(Run.read(run)).state == "rolled back"
    assert work.refused > 0


def require_proofs(said: str, *, back: bool) -> None:
    """Rows and objects were compared and are the same, each with a digest; what lacked sizes has them."""
    assert len(DIGEST.findall(said)) == 2, said
    assert said.count("The same:") == 2, said
    assert ("images have sizes now" in said) is not back, said
    orphans = f"quarantined: {legacy.ORPHANS} rows of annotations"
    assert (orphans in said and "(in quarantine_annotations)" in said) is not back, said


async def require_whole(
    old: legacy.Old, new: dict[str, str], backend: legacy.Writer, services: Sequence[legacy.Writer]
) -> None:
    """Everything that was acknowledged is there, with the right times, sizes, and what was set aside."""
    labeler = new["labeler"]
    kept = await fetchval(labeler, "SELECT count(*) FROM annotations WHERE id = ANY ($1)", backend.saved)
    assert kept == len(backend.saved)
    await require_saved(new, services)
    assert await fetchval(labeler, "SELECT count(*) FROM quarantine_annotations") == legacy.ORPHANS
    assert await fetchval(labeler, "SELECT count(*) FROM image_metadata WHERE width IS NULL") == 0
    made = "SELECT created_at FROM datasets WHERE name = $1"
    assert await fetchval(labeler, made, "MVTec-AD") == datetime(2025, 6, 1, tzinfo=UTC)  # 09:00 in Seoul
    now = await fetchval(labeler, made, "made now")
    assert abs(now - old.made_at) < timedelta(minutes=5)
    drawn = await fetchval(labeler, "SELECT created_at FROM annotations WHERE id = $1", backend.saved[-1])
    assert timedelta(0) < datetime.now(UTC) - drawn < timedelta(minutes=10)


async def require_saved(urls: dict[str, str], services: Sequence[legacy.Writer]) -> None:
    for writer, name in zip(services, ("users", "platform"), strict=True):
        saved = f"SELECT count(*) FROM {TABLES[name]} WHERE id = ANY ($1)"
        assert await fetchval(urls[name], saved, writer.saved) == len(writer.saved)
