"""One command: a running demo goes to another PostgreSQL and another object store, and back.

People annotate and upload all the time. Both ways end in equal checksums, and nothing that anybody was told is saved
is missing on the side that serves.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from labeler_ops.stack.object_store import PORT_COUNT, SeaweedServer
from labeler_ops.stack.ports import free_ports
from labeler_ops.storage.access import StorageAccess
from tests.e2e.moving import COMMAND_SECONDS, DIGEST, Front, Operator, Work, everything_there, variables
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.storage import may_delete
from tests.labeler_ops.stack.running import Up, log_in

PEOPLE = 20
UNTIL = "while [ ! -e {} ]; do sleep 0.05; done"


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


async def moved_by(
    operator: Operator, front: Front, up: Callable[[dict[str, str]], Up], *command: str
) -> tuple[str, Up]:
    """Give a command that deploys by a hook of ours, and bring the services up when it asks; what it said."""
    asked, deployed = operator.directory / f"{command[0]}.env", operator.directory / f"{command[0]}.deployed"
    hook = f'cp "$LABELER_NEW_ENVIRONMENT" {asked}.partial && mv {asked}.partial {asked} && {UNTIL.format(deployed)}'
    look = ("--smoke-url", front.url, "--smoke-email", "owner@example.com", "--wait", "60")
    work = asyncio.create_task(operator.run("move", *command, "--deploy", hook, *look))
    async with asyncio.timeout(COMMAND_SECONDS):
        while not asked.exists():
            if work.done():
                raise AssertionError(await work)
            await asyncio.sleep(0.02)
    services = up(variables(asked)).__enter__()
    try:
        await front.deploy((await asyncio.to_thread(services.ready))["api"])
        deployed.touch()
        return await work, services
    except BaseException:
        services.__exit__(None, None, None)
        raise


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

        def up(name: str) -> Callable[[dict[str, str]], Up]:
            return lambda new: Up(tmp_path / name, files=tmp_path / f"{name}-files", **people, **new)

        async with Front(facts["api"]) as front:
            work = at_work(facts, front)
            async with work.going_on(PEOPLE):
                await work.progress()
                looked = await operator.run("move", "check")
                assert "nothing was changed" in looked
                assert not (tmp_path / "runs").exists()
                there, moved = await moved_by(operator, front, up("new"), "run")
                try:
                    await work.progress()
                    say(f"there: {work.measure():.1f} s without an acknowledged save")
                    require_proofs(there, back=False)
                    await everything_there(front.url, new_database, work)
                    # The id lies in the database, the tie in the bucket: both have moved, so that deletion goes on.
                    assert await may_delete(new_database, new_store.access) == [True, True]
                    back = await a_database_of_old(facts, secrets)
                    home, again = await moved_by(operator, front, up("back"), "rollback", "--into", back)
                    try:
                        await work.progress()
                        say(f"back: {work.measure():.1f} s without an acknowledged save")
                        require_proofs(home, back=True)
                        await everything_there(front.url, back, work)
                        old_store = StorageAccess(facts["storage"], secrets["s3_access_key"], secrets["s3_secret_key"])
                        assert await may_delete(back, old_store) == [True, True]
                    finally:
                        again.__exit__(None, None, None)
                finally:
                    moved.__exit__(None, None, None)
    (run,) = (tmp_path / "runs").glob("*-move-*")  # one run, one journal, there and back
    assert "rolled back" in await operator.run("move", "status", "--run", run.name)
    saved = f"{len(work.annotations)} annotations and {len(work.images)} images were acknowledged"
    say(f"{saved}, {work.refused} requests refused, {work.broken} cut off")
    assert work.refused > 0


def require_proofs(said: str, *, back: bool) -> None:
    """Rows and objects were compared and are the same, each with a digest; what lacked sizes has them."""
    assert len(DIGEST.findall(said)) == 2, said
    assert said.count("The same:") == 2, said
    assert ("images have sizes now" in said) is not back, said
