"""An application on a User DB and a gateway of the test's own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from labeler_api.app import create_app, open_services
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.api import Api, api_settings, storage_environment
from tests.fixtures.users import RunningGateway, StartGateway, UsersDatabase


@dataclass
class Own:
    """The application, the User DB that it may change, and the gateway between them."""

    api: Api
    users: UsersDatabase
    gateway: RunningGateway


@pytest.fixture
async def own(
    labeler_dsn: str, users_db: UsersDatabase, start_gateway: StartGateway, object_store: SeaweedServer
) -> AsyncIterator[Own]:
    """Profiles are asked for anew in every request, so that a change of a user shows at once."""
    gateway = await start_gateway(users_db.dsn)
    variables = {**storage_environment(object_store), "USER_CACHE_SECONDS": "0"}
    settings = api_settings(labeler_dsn, gateway.address, gateway.token, variables)
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack)
        api = Api(create_app(settings, services), services)
        stack.push_async_callback(api.close)
        yield Own(api, users_db, gateway)
