"""One application and one database for all tests of access: they make their own datasets, and most change nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import asyncpg
import bcrypt
import pytest

from labeler_api.app import create_app, open_services
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.access.callers import Callers
from tests.fixtures.access.sample import MORE_IDS
from tests.fixtures.api import Api, api_settings, storage_environment
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.users import GATEWAY_TOKEN, UsersDatabase, gateway_settings
from user_gateway.server import Gateway


@pytest.fixture(scope="session")
async def people(clone_users: Callable[[], Awaitable[UsersDatabase]]) -> UsersDatabase:
    """A User DB with the accounts of every test and those that access needs besides."""
    users = await clone_users()
    rows = [
        (number, f"{name}@example.com", bcrypt.hashpw(f"{name}123".encode(), bcrypt.gensalt(4)).decode(), name.title())
        for name, number in MORE_IDS.items()
    ]
    connection = await asyncpg.connect(users.admin_dsn)
    try:
        await connection.executemany(
            "INSERT INTO users (id, email, hashed_password, full_name, organization_id) VALUES ($1, $2, $3, $4, 1)",
            rows,
        )
    finally:
        await connection.close()
    return users


@pytest.fixture(scope="session")
async def people_gateway(people: UsersDatabase) -> AsyncIterator[str]:
    """The address of a gateway in front of them."""
    gateway = Gateway(gateway_settings(people.dsn))
    await gateway.start()
    yield f"127.0.0.1:{gateway.port}"
    await gateway.stop()


@pytest.fixture(scope="session")
async def shared_callers(
    create_database: DatabaseFactory,
    labeler_template: str,
    platform_template: str,
    people_gateway: str,
    object_store: SeaweedServer,
) -> AsyncIterator[Callers]:
    dsn = await create_database(labeler_template)
    variables = {
        **storage_environment(object_store),
        "PLATFORM_DB_URL": await create_database(platform_template),
        "PLATFORM_DB_ALLOW_WRITABLE": "1",  # as the owner of the database; the role has tests of its own
    }
    settings = api_settings(dsn, people_gateway, GATEWAY_TOKEN, variables)
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack)
        api = Api(create_app(settings, services), services)
        stack.push_async_callback(api.close)
        callers = Callers(api)
        stack.push_async_callback(callers.close)
        yield callers


@pytest.fixture
async def callers(shared_callers: Callers) -> Callers:
    shared_callers.fresh()
    return shared_callers
