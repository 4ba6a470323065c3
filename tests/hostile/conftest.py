"""A system for each kind of attack: what one attack leaves behind must not excuse the next."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from labeler_api.app import create_app, open_services
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.ports import free_port
from labeler_ops.stack.processes import spawn
from tests.fixtures import gateway_process
from tests.fixtures.api import Api, api_settings, storage_environment
from tests.fixtures.api_processes import ApiProcess
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.users import GATEWAY_TOKEN
from tests.hostile.attacked import Attacked

# Dataset ids of other tests begin at 1, and all share the object store.
FIRST_DATASET = 0xA77A_0000


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    """Variables of the API process; a file overrides this for settings of its own."""
    return {}


@pytest.fixture(scope="module")
async def attacked_system(
    create_database: DatabaseFactory,
    labeler_template: str,
    users_dsn: str,
    object_store: SeaweedServer,
    variables: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Attacked]:
    """Started once a file, with the pool of a production process."""
    logs = tmp_path_factory.mktemp("hostile")
    dsn = await create_database(labeler_template)
    gateway = await gateway_process.start(users_dsn)
    await gateway.wait_ready()
    environment = {
        "LABELER_DB_URL": dsn,
        "DB_POOL_SIZE": "5",
        "DB_MAX_OVERFLOW": "10",
        "USER_GATEWAY_ADDRESS": gateway.address,
        "USER_GATEWAY_TOKEN": GATEWAY_TOKEN,
        **storage_environment(object_store),
    }
    bare_port = free_port()
    bare = spawn("bare", [sys.executable, "-m", "tests.hostile.bare", str(bare_port)], log=logs / "bare.log")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(bare.stop)
        settings = api_settings(dsn, gateway.address, GATEWAY_TOKEN, storage_environment(object_store))
        services = await open_services(settings, stack)
        api = Api(create_app(settings, services), services, FIRST_DATASET)
        stack.push_async_callback(api.close)
        process = ApiProcess({**environment, **variables}, logs / "api.log")
        stack.push_async_callback(process.stop)
        process.launch()
        await process.ready()
        yield Attacked(api, process, f"http://127.0.0.1:{bare_port}")
    gateway.terminate()
    await gateway.ended()
    await create_database.drop(dsn)


@pytest.fixture
async def attacked(attacked_system: Attacked) -> AsyncIterator[Attacked]:
    """A system to attack; whatever was done to it, it runs on and met nothing that it did not expect."""
    yield attacked_system
    while attacked_system.clients:
        await attacked_system.clients.pop().aclose()
    await attacked_system.process.restore()
    attacked_system.process.check_log()
