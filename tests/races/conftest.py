"""Two API processes on a database of their own, for all tests of this folder."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from labeler_api.app import create_app, open_services
from labeler_ops.database.upgrade import upgrade
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.ports import free_port
from labeler_ops.stack.postgres import PostgresServer
from tests.fixtures.api import Api, api_settings, storage_environment
from tests.fixtures.api_processes import CROWD, ApiProcess, Cluster
from tests.fixtures.postgres import DatabaseFactory, restore
from tests.fixtures.users import GATEWAY_TOKEN, RunningGateway, UsersDatabase, gateway_settings
from user_gateway.server import Gateway

PROCESSES = 2
# Dataset ids of other tests begin at 1, and all share the object store: what is purged here must not be theirs.
FIRST_DATASET = 0x7ACE_0000


@pytest.fixture(scope="package")
async def crowded_gateway(clone_users: Callable[[], Awaitable[UsersDatabase]]) -> AsyncIterator[RunningGateway]:
    """A gateway that knows a crowd besides the usual accounts."""
    users = await clone_users()
    await users.execute(
        "INSERT INTO users (id, email, hashed_password, full_name)"
        " SELECT n, 'user' || n || '@example.com', 'none', 'User ' || n FROM unnest($1::int[]) n",
        list(CROWD),
    )
    server = Gateway(gateway_settings(users.dsn))
    await server.start()
    yield RunningGateway(f"127.0.0.1:{server.port}", GATEWAY_TOKEN, server)
    await server.stop()


@pytest.fixture(scope="package")
def variables(crowded_gateway: RunningGateway, object_store: SeaweedServer) -> Mapping[str, str]:
    """What an API process needs besides its database."""
    return {
        "USER_GATEWAY_ADDRESS": crowded_gateway.address,
        "USER_GATEWAY_TOKEN": crowded_gateway.token,
        **storage_environment(object_store),
    }


@pytest.fixture(scope="package")
async def shared_cluster(
    create_database: DatabaseFactory,
    labeler_template: str,
    crowded_gateway: RunningGateway,
    object_store: SeaweedServer,
    variables: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Cluster]:
    """Started once: each test makes a dataset of its own."""
    dsn = await create_database(labeler_template)
    logs = tmp_path_factory.mktemp("races")
    address, token = crowded_gateway.address, crowded_gateway.token
    settings = api_settings(dsn, address, token, storage_environment(object_store))
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack)
        api = Api(create_app(settings, services), services, FIRST_DATASET)
        stack.push_async_callback(api.close)
        cluster = Cluster(api, [_process({**variables, "LABELER_DB_URL": dsn}, logs, n) for n in range(PROCESSES)])
        for process in cluster.processes:
            stack.push_async_callback(process.stop)
            process.launch()
        for process in cluster.processes:
            await process.ready()
        yield cluster
        # Every transaction takes its locks in one order. A retry would hide it, after the second that PostgreSQL waits.
        async with services.db.read() as connection:
            met = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            assert await connection.fetchval(met) == 0
    await create_database.drop(dsn)


@pytest.fixture
async def cluster(shared_cluster: Cluster) -> AsyncIterator[Cluster]:
    """Two processes; whatever the test did to them, none of them may have met an unexpected error."""
    yield shared_cluster
    await shared_cluster.close_clients()
    for process in shared_cluster.processes:
        await process.restore()
    shared_cluster.check_logs()


@pytest.fixture(scope="module")
async def durable(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    """A server of these tests' own that writes to the disk before it says so, as in production."""
    directory = tmp_path_factory.mktemp("durable")
    server = PostgresServer(postgres.install, directory / "data", free_port())
    await server.initialise()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def mortal(durable: PostgresServer, variables: Mapping[str, str], tmp_path: Path) -> AsyncIterator[Cluster]:
    """Two processes on a new database of that server."""
    await restore(durable)
    name = f"mortal_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(durable.dsn("postgres"))
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    dsn = durable.dsn(name)
    await upgrade(dsn)
    settings = api_settings(dsn, variables["USER_GATEWAY_ADDRESS"], variables["USER_GATEWAY_TOKEN"], variables)
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack)
        api = Api(create_app(settings, services), services)
        processes = [ApiProcess({**variables, "LABELER_DB_URL": dsn}, tmp_path / f"{n}.log") for n in range(2)]
        for process in processes:
            stack.push_async_callback(process.stop)
            process.launch()
        for process in processes:
            await process.ready()
        cluster = Cluster(api, processes)
        stack.push_async_callback(cluster.close_clients)
        yield cluster
    cluster.check_logs()


def _process(variables: Mapping[str, str], logs: Path, number: int) -> ApiProcess:
    name = urlsplit(variables["LABELER_DB_URL"]).path.strip("/")
    return ApiProcess(variables, logs / f"{name}-{number}.log")
