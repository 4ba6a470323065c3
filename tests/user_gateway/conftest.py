"""A client on the shared gateway."""

from collections.abc import AsyncIterator

import pytest

from tests.fixtures.users import RunningGateway
from tests.user_gateway.calls import Calls


@pytest.fixture
async def calls(gateway: RunningGateway) -> AsyncIterator[Calls]:
    async with Calls(gateway.address, gateway.token) as client:
        yield client
