"""A deployment as Railway does it: the new process answers first, then the old one is told to end."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.ports import free_port
from tests.fixtures.api import JWT_SECRET, PUBLIC_URL, Api, storage_environment
from tests.fixtures.users import RunningGateway

_CLIENTS = 12
_ANSWERS = 100  # before the switch, and again after it

Start = Callable[[], Awaitable[tuple[str, Process]]]


@pytest.fixture
async def start(labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer) -> AsyncIterator[Start]:
    started: list[Process] = []

    async def start() -> tuple[str, Process]:
        port = str(free_port())
        environment = {
            "PATH": os.environ["PATH"],
            "ENVIRONMENT": "test",
            "JWT_SECRET_KEY": JWT_SECRET,
            "LABELER_DB_URL": labeler_dsn,
            "USER_GATEWAY_ADDRESS": gateway.address,
            "USER_GATEWAY_TOKEN": gateway.token,
            "API_PUBLIC_URL": PUBLIC_URL,
            "API_HOST": "::",
            "PORT": port,
            **storage_environment(object_store),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "labeler_api", env=environment, stdout=DEVNULL
        )
        started.append(process)
        address = f"http://127.0.0.1:{port}"
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            while not await _ready(client, address):  # noqa: ASYNC110 - a process has no event to wait for
                await asyncio.sleep(0.05)
        return address, process

    yield start
    for process in started:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 60)


async def _ready(client: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(f"{address}/health/ready", timeout=10)).status_code == 200
    except httpx.TransportError:
        return False


async def test_a_deployment_under_load_loses_no_request(api: Api, start: Start) -> None:
    await api.dataset(tasks=["detection"], images=3)
    headers = {"Authorization": f"Bearer {api.token(2, 'owner@example.com')}"}
    old, old_process = await start()
    serving, answers, switched = old, {old: 0}, False

    async def work(client: httpx.AsyncClient) -> None:
        while not switched or answers[serving] < _ANSWERS:
            where = serving
            answer = await client.get(f"{where}/api/v1/datasets", headers=headers)
            assert answer.status_code == 200, answer.text
            answers[where] += 1

    # A balancer keeps no connection to what it has left; while it is there, connections are kept as usual.
    async with httpx.AsyncClient(timeout=30) as client, asyncio.TaskGroup() as group:
        for _ in range(_CLIENTS):
            group.create_task(work(client))
        new, _ = await start()
        await _counted(answers, old, _ANSWERS)
        answers[new] = 0
        serving, switched = new, True
        # The overlap, which Railway makes ten seconds: what was sent to the old one is in its hands by the signal.
        await _counted(answers, new, _CLIENTS)
        old_process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(old_process.wait(), 30) in {0, -signal.SIGTERM}
    assert answers[new] >= _ANSWERS


async def _counted(answers: dict[str, int], where: str, number: int) -> None:
    async with asyncio.timeout(60):
        while answers[where] < number:  # noqa: ASYNC110 - counted by the tasks
            await asyncio.sleep(0.02)
