"""What the guides are followed with: the old and the new servers, and a deployment that can be turned."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from labeler_ops.database.roles import ROLES
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.ports import free_port
from labeler_ops.stack.postgres import PostgresServer, find_install
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.buckets import connect
from labeler_ops.storage.store_variables import service_variables as settings_of
from tests.fixtures.api_processes import ApiProcess
from tests.fixtures.buckets import own_buckets
from tests.fixtures.move_variables import variables
from tests.fixtures.moving_address import MovingAddress
from tests.fixtures.postgres import directory_of_data
from tests.fixtures.sql import execute
from tests.fixtures.users import RunningGateway
from tests.guides.preloaded_cli import labeler_in
from tests.guides.railway import Railway

PASSWORD = "of-the-guides"
SMOKE = {"EMAIL": "owner@example.com", "SMOKE_PASSWORD": "LABELER_SMOKE_PASSWORD=owner123"}
"""Who looks at a deployment: an account of the gateway's fixture."""
# As the guide to logical replication prepares a server; what is written need not survive a power cut.
_SETTINGS = """
wal_level = logical
max_replication_slots = 50
max_wal_senders = 20
max_worker_processes = 24
max_logical_replication_workers = 16
wal_retrieve_retry_interval = '100ms'
fsync = off
synchronous_commit = off
"""
_ROLE = f"{{}} ROLE {ROLES['labeler']} LOGIN CREATEDB REPLICATION PASSWORD '{PASSWORD}'"
_LOOK_EVERY = 0.02


@dataclass(frozen=True)
class Servers:
    """The databases' old server and their new one; `labeler` may enter both."""

    old: PostgresServer
    new: PostgresServer
    made: list[str] = field(default_factory=list)

    async def database(self, side: PostgresServer, name: str, *, template: str = "template0") -> str:
        """Make a database that belongs to `labeler`; its URL for the superuser."""
        await execute(side.dsn("postgres"), f'CREATE DATABASE "{name}" OWNER {ROLES["labeler"]} TEMPLATE "{template}"')
        return side.dsn(name)

    async def clear(self) -> None:
        """Drop every database that a guide has left."""
        for side in (self.old, self.new):
            connection = await asyncpg.connect(side.dsn("postgres"))
            names = "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')"
            await connection.execute(_ROLE.format("ALTER"))
            for row in await connection.fetch(names):
                await connection.execute(f'DROP DATABASE "{row[0]}" WITH (FORCE)')
            await connection.close()


def serving(dsn: str) -> str:
    """The same database for the role that serves."""
    host = urlsplit(dsn).netloc.rpartition("@")[2]
    return urlsplit(dsn)._replace(netloc=f"{ROLES['labeler']}:{PASSWORD}@{host}").geturl()


async def _server(directory: Path) -> PostgresServer:
    server = PostgresServer(find_install(os.environ), directory, free_port())
    await server.initialise()
    with (server.data_dir / "postgresql.conf").open("a") as file:
        file.write(_SETTINGS)
    await server.start()
    await execute(server.dsn("postgres"), _ROLE.format("CREATE"))
    return server


@pytest.fixture(scope="package")
async def both_servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    directory = directory_of_data(tmp_path_factory)
    old, new = await asyncio.gather(_server(directory / "old"), _server(directory / "new"))
    try:
        yield Servers(old, new)
    finally:
        await asyncio.gather(old.stop(), new.stop())
        shutil.rmtree(directory)


@pytest.fixture
async def servers(both_servers: Servers) -> AsyncIterator[Servers]:
    yield both_servers
    await both_servers.clear()


@pytest.fixture(scope="package")
def labeler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The script `labeler` that starts at once."""
    with labeler_in(tmp_path_factory.mktemp("labeler")) as script:
        yield script


@dataclass(frozen=True)
class Buckets:
    """The old store and the new one, with buckets of the test's own."""

    old: StorageAccess
    new: StorageAccess

    def exported(self) -> dict[str, str]:
        """How a person names buckets that are called otherwise than in the guides."""
        names = dict(zip(("S3_BUCKET_DATASETS", "S3_BUCKET_ANNOTATIONS"), self.old.buckets, strict=True))
        return {f"{side}{name}": value for side in ("", "SOURCE_", "TARGET_") for name, value in names.items()}

    def sides(self) -> dict[str, str]:
        """The same for both ends of a move."""
        return {name: value for name, value in self.exported().items() if not name.startswith("S3_")}

    def placeholders(self) -> dict[str, str]:
        """What the guides leave open of both stores."""
        found: dict[str, str] = {}
        for side, access in (("SOURCE", self.old), ("TARGET", self.new)):
            found |= {
                f"{side}_STORE": access.endpoint,
                f"{side}_KEY": f"{side}_S3_ACCESS_KEY={access.access_key}",
                f"{side}_SECRET": f"{side}_S3_SECRET_KEY={access.secret_key}",
            }
        return found


@pytest.fixture
async def buckets(object_store: SeaweedServer, second_store: SeaweedServer) -> AsyncIterator[Buckets]:
    names = {"datasets_bucket": "guide-datasets", "annotations_bucket": "guide-annotations"}
    pair = Buckets(replace(object_store.access, **names), replace(second_store.access, **names))
    async with own_buckets(pair.old, pair.new):
        yield pair


class Deployment:
    """The services, as `deploy.sh` of the guides deploys them: an API behind an address that stays."""

    def __init__(self, front: MovingAddress, settings: dict[str, str], directory: Path) -> None:
        self.railway = Railway(directory / "railway")
        self.front = front
        self.settings = settings
        self._directory = directory
        self._running: ApiProcess | None = None
        self._count = 0
        self.served = asyncio.Event()
        """Set once the last deployment has taken over."""
        script = directory / "deploy-back.sh"
        script.write_text(
            '#!/bin/sh\ncp "$LABELER_NEW_ENVIRONMENT" asked.partial && mv asked.partial asked\n'
            # Two minutes at most: a test run that is killed takes nobody along who only waits for a file.
            "turns=0\nwhile [ -e asked ]; do\n"
            "    turns=$((turns + 1)); [ $turns -lt 2400 ] || exit 1; sleep 0.05\ndone\necho deployed\n"
        )
        script.chmod(0o755)
        shutil.copy(script, directory / "deploy.sh")

    @property
    def database(self) -> str:
        return self.settings["LABELER_DB_URL"]

    async def deploy(self, **changed: str) -> None:
        """Start the services with changed variables, and end those of before."""
        self.settings |= changed
        self.served.clear()
        self._count += 1
        before, log = self._running, self._directory / f"api-{self._count}.log"
        self._running = ApiProcess({**self.settings, "API_PUBLIC_URL": self.front.url}, log)
        self._running.launch(API_PUBLIC_URL=self.front.url)
        await self._running.ready()
        await self.front.deploy(self._running.url)
        self.served.set()
        if before is not None:
            await before.stop()

    async def deploy_latest(self, name: str = "environment.new") -> None:
        """Do by hand what a guide says: set the variables of the run's file, and deploy."""
        path = max((self._directory / "runs").glob(f"*/{name}"), key=lambda found: found.stat().st_mtime)
        await self.deploy(**variables(path))

    async def wait_for_orders(self) -> None:
        asked, redeployed = self._directory / "asked", 0
        while True:
            if self.railway.redeployed.count("labeler-api") > redeployed:
                redeployed += 1
                await self.deploy(**self.railway.variables("labeler-api"))
            if asked.exists():
                await self.deploy(**variables(asked))
                asked.unlink()
            await asyncio.sleep(_LOOK_EVERY)

    async def stop(self) -> None:
        if self._running is not None:
            await self._running.stop()


@asynccontextmanager
async def deployed(
    gateway: RunningGateway, store: StorageAccess, database: str | None, directory: Path
) -> AsyncIterator[Deployment]:
    """Services that `deploy.sh` turns; they run already where there is a database that they can use."""
    settings = {
        **settings_of(store),
        "USER_GATEWAY_ADDRESS": gateway.address,
        "USER_GATEWAY_TOKEN": gateway.token,
        "LABELER_DB_URL": database or "",
    }
    async with MovingAddress("http://127.0.0.1:1") as front:
        deployment = Deployment(front, settings, directory)
        if database is not None:
            await deployment.deploy()
        orders = asyncio.create_task(deployment.wait_for_orders())
        try:
            yield deployment
        finally:
            orders.cancel()
            with suppress(asyncio.CancelledError):
                await orders
            await deployment.stop()


def buckets_of(store: StorageAccess) -> dict[str, str]:
    """What the test's buckets are called on both sides."""
    return {
        f"{side}_S3_BUCKET_{role}": name
        for side in ("SOURCE", "TARGET")
        for role, name in (("DATASETS", store.datasets_bucket), ("ANNOTATIONS", store.annotations_bucket))
    }


async def make_buckets(second: StorageAccess, store: StorageAccess) -> None:
    """The old store has both buckets, from before the move."""
    async with connect(second) as client:
        for bucket in store.buckets:
            await client.create_bucket(Bucket=bucket)
