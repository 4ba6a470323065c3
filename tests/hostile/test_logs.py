"""Logs that cannot be written, of both services: a full disk, a closed pipe, a pipe that nobody reads."""

import asyncio
import contextlib
import os
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import grpc
import httpx
import pytest

from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.ports import free_port
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.api import JWT_SECRET, PUBLIC_URL, Api, storage_environment
from tests.fixtures.gateway_calls import Calls
from tests.fixtures.timing import check_within
from tests.fixtures.users import ALL_SCOPES, GATEWAY_TOKEN, RunningGateway

CALLS = 1500  # a line each of some 300 bytes: a pipe of 64 KiB is full after 200
_START_SECONDS = 60.0


@pytest.fixture(params=["full disk", "closed pipe", "pipe that nobody reads"])
def device(request: pytest.FixtureRequest) -> Iterator[int]:
    """A file descriptor that takes no log."""
    if request.param == "full disk":
        number, reader = os.open("/dev/full", os.O_WRONLY), -1
    else:
        reader, number = os.pipe()
        if request.param == "closed pipe":
            os.close(reader)
            reader = -1
    yield number
    os.close(number)
    if reader >= 0:
        os.close(reader)


@asynccontextmanager
async def running(module: str, device: int, variables: dict[str, str]) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A service whose standard output and standard error are both that device."""
    environment = {"PATH": os.environ["PATH"], "ENVIRONMENT": "test", **variables}
    command = [sys.executable, "-m", module]
    process = subprocess.Popen(command, env=environment, stdout=device, stderr=device)  # noqa: ASYNC220
    try:
        yield process
        process.terminate()
        assert await asyncio.to_thread(process.wait, 60) in {0, -15}
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


async def test_the_api_answers_every_call(
    api: Api, gateway: RunningGateway, object_store: SeaweedServer, labeler_dsn: str, device: int
) -> None:
    port = free_port()
    variables = {
        "LABELER_DB_URL": labeler_dsn,
        "USER_GATEWAY_ADDRESS": gateway.address,
        "USER_GATEWAY_TOKEN": gateway.token,
        "JWT_SECRET_KEY": JWT_SECRET,
        "API_PUBLIC_URL": PUBLIC_URL,
        "API_PORT": str(port),
        **storage_environment(object_store),
    }
    headers = {"Authorization": f"Bearer {api.token(USER_IDS['owner'], 'owner@example.com')}"}
    async with (
        running("labeler_api", device, variables) as process,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30, trust_env=False) as client,
    ):
        await started(process, client)
        slowest = 0.0
        for number in range(CALLS):
            began = time.monotonic()
            path = "/api/v1/auth/me" if number % 10 == 0 else "/api/v1/nothing-here"
            answer = await client.get(path)
            slowest = max(slowest, time.monotonic() - began)
            assert answer.status_code in {200, 404}, answer.text
        check_within(slowest, 5)
        numbers = (await client.get("/metrics")).text
    [line] = [line for line in numbers.splitlines() if line.startswith("labeler_log_lines_dropped_total")]
    # A pipe that nobody reads has its lines still, in the queue.
    assert float(line.split()[1]) > CALLS / 2 or stat.S_ISFIFO(os.fstat(device).st_mode)


async def started(process: "subprocess.Popen[bytes]", client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            assert process.poll() is None, f"it ended with {process.returncode}"
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.05)


async def test_the_gateway_starts_and_answers_every_call(users_dsn: str, device: int) -> None:
    port = free_port()
    variables = {
        "USER_DB_URL": users_dsn,
        "USER_GATEWAY_HOST": "127.0.0.1",
        "USER_GATEWAY_PORT": str(port),
        "USER_GATEWAY_TOKENS": f"labeler={GATEWAY_TOKEN}:{ALL_SCOPES}",
    }
    async with running("user_gateway", device, variables), Calls(f"127.0.0.1:{port}", GATEWAY_TOKEN) as calls:
        async with asyncio.timeout(_START_SECONDS):
            while not await answers(calls):  # noqa: ASYNC110 - another process starts
                await asyncio.sleep(0.1)
        for _ in range(CALLS):
            assert (await calls.get(id=2)).id == 2


async def answers(calls: Calls) -> bool:
    """Whether the gateway takes calls by now."""
    try:
        await calls.get(id=2)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False
    return True
