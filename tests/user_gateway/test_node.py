"""A Node service beside the gateway: its documented client runs, and what a rolling restart costs it."""

import asyncio

import pytest

from tests.fixtures.gateway_process import Start
from tests.fixtures.users import RunningGateway
from tests.user_gateway import node_client
from tests.user_gateway.node_client import NodeLoad

CALLERS = 32


@pytest.fixture(scope="module", autouse=True)
async def packages() -> None:
    await node_client.install()


async def test_the_client_runs(gateway: RunningGateway) -> None:
    process = await node_client.started(node_client.documented(), gateway.address)
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert output.decode() == "[ 'Admin Example', 'Owner Example' ]\n", errors.decode()
    assert process.returncode == 0
    assert errors == b""


async def rolling_restart(block: str, dsn: str, start: Start, *, away_seconds: float = 0.0) -> dict[str, int]:
    """Restart two gateways one after the other, as a platform does, under Node's callers; return what failed."""
    # Production's two seconds of draining: clients come back to the first gateway while the second still serves.
    settings = {"LOG_LEVEL": "WARNING", "USER_GATEWAY_DRAIN_SECONDS": "2"}
    pair = [await start(dsn, **settings), await start(dsn, **settings)]
    async with NodeLoad(block, [gateway.address for gateway in pair], CALLERS) as load:
        await load.more_than(300)
        for gateway in pair:
            gateway.terminate()
            assert await gateway.ended() == 0
            await asyncio.sleep(away_seconds)
            await start(dsn, USER_GATEWAY_PORT=str(gateway.ready["port"]), **settings)
        await load.more_than(300)
        await load.end()
        return load.failed


@pytest.mark.slow
async def test_a_rolling_restart_loses_nothing_with_the_documented_settings(users_dsn: str, start: Start) -> None:
    # So long that grpc-js by itself would be slow to come back: the next gateway would close before.
    assert await rolling_restart(node_client.documented(), users_dsn, start, away_seconds=5.0) == {}


@pytest.mark.slow
async def test_a_rolling_restart_loses_at_most_what_is_in_flight_without(users_dsn: str, start: Start) -> None:
    failed = await rolling_restart(node_client.without_settings(), users_dsn, start)
    # Each caller has one call under way, all on one gateway (grpc-js picks the first), and each gateway closes once.
    assert sum(failed.values()) <= 2 * CALLERS, failed
    assert set(failed) <= {"CANCELLED", "UNAVAILABLE"}
