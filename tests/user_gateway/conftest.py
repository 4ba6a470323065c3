"""A client on the shared gateway, and gateways as processes of their own."""

from collections.abc import AsyncIterator

import pytest

from tests.fixtures import gateway_process
from tests.fixtures.gateway_calls import Calls
from tests.fixtures.gateway_process import GatewayProcess, Start
from tests.fixtures.users import RunningGateway


@pytest.fixture
async def calls(gateway: RunningGateway) -> AsyncIterator[Calls]:
    async with Calls(gateway.address, gateway.token) as client:
        yield client


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start processes that are gone after the test."""
    started: list[GatewayProcess] = []

    async def start_one(dsn: str, *, ready: bool = True, **variables: str) -> GatewayProcess:
        process = await gateway_process.start(dsn, **variables)
        started.append(process)
        if ready:
            await process.wait_ready()
        return process

    yield start_one
    for process in started:
        await process.kill()
