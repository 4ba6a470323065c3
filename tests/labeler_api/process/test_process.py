"""The process: a taken port, parts that are away at its start, several workers, SIGTERM under load."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import asyncpg
import httpx
import pytest

from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.ports import free_port
from tests.fixtures.api import JWT_SECRET, PUBLIC_URL, Api, storage_environment
from tests.fixtures.users import RunningGateway

Start = Callable[[Mapping[str, str]], Awaitable[Process]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    started: list[Process] = []

    async def start(variables: Mapping[str, str]) -> Process:
        environment = {"PATH": os.environ["PATH"], "ENVIRONMENT": "test", "JWT_SECRET_KEY": JWT_SECRET, **variables}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "labeler_api", env=environment, stdout=DEVNULL, stderr=PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.terminate()  # not kill: the workers of a killed parent live on
        await asyncio.wait_for(process.wait(), 60)


@pytest.fixture
def variables(labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer) -> dict[str, str]:
    return {
        "LABELER_DB_URL": labeler_dsn,
        "USER_GATEWAY_ADDRESS": gateway.address,
        "USER_GATEWAY_TOKEN": gateway.token,
        "API_PUBLIC_URL": PUBLIC_URL,
        "API_PORT": str(free_port()),
        **storage_environment(object_store),
    }


async def answering(port: str, path: str, status: int, seconds: float = 60) -> httpx.Response:
    """Ask until the answer has the status."""
    async with asyncio.timeout(seconds), httpx.AsyncClient() as client:
        while True:
            try:
                answer = await client.get(f"http://127.0.0.1:{port}{path}", timeout=10)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == status:
                return answer
            await asyncio.sleep(0.05)


async def test_a_taken_port_is_one_clear_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await start({"LABELER_DB_URL": "postgresql://x@127.0.0.1:1/x", "API_PORT": str(port)})
        _, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 78
    assert f"API_HOST and API_PORT: cannot listen on 127.0.0.1, port {port}: Address already in use" in error.decode()
    assert b"Traceback" not in error


async def test_it_starts_without_its_parts_and_says_which_are_away(start: Start) -> None:
    port = str(free_port())
    await start(
        {
            "API_PORT": port,
            "LABELER_DB_URL": "postgresql://nobody@127.0.0.1:1/nothing",
            "USER_GATEWAY_ADDRESS": "127.0.0.1:1",
            "S3_ENDPOINT": "http://127.0.0.1:1",
        }
    )
    assert (await answering(port, "/health", 200)).json()["status"] == "healthy"
    state = (await answering(port, "/health/ready", 503)).json()
    assert "database" in state["labeler_db"]
    assert state["user_gateway"] != "ok"
    assert "object store" in state["object_store"]
    async with httpx.AsyncClient() as client:
        login = {"email": "owner@example.com", "password": "owner123"}
        refused = await client.post(f"http://127.0.0.1:{port}/api/v1/auth/login", json=login, timeout=10)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1


async def test_it_takes_several_connections_in_each_turn(start: Start, variables: dict[str, str]) -> None:
    """libuv takes one for each descriptor that it listens on (`accepting` in labeler_api/process/serving.py)."""
    process = await start(variables)
    await answering(variables["API_PORT"], "/health", 200)
    assert max(_descriptors_of_sockets(process.pid).values()) == 16


def _descriptors_of_sockets(pid: int) -> Counter[str]:
    opened = (str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink())
    return Counter(name for name in opened if name.startswith("socket:"))


async def test_workers_share_the_port(start: Start, variables: dict[str, str]) -> None:
    await start({**variables, "API_WORKERS": "2"})
    await answering(variables["API_PORT"], "/health/ready", 200)


async def test_ipv6_and_ipv4_reach_the_same_socket(start: Start, variables: dict[str, str]) -> None:
    await start({**variables, "API_HOST": "::"})
    await answering(variables["API_PORT"], "/health/ready", 200)


async def test_sigterm_finishes_what_is_under_way(api: Api, start: Start, variables: dict[str, str]) -> None:
    """A save that waits for a lock of the database when the signal comes is answered and kept."""
    dataset = await api.dataset(tasks=["detection"], images=1)
    process = await start(variables)
    await answering(variables["API_PORT"], "/health/ready", 200)
    headers = {"Authorization": f"Bearer {api.token(2, 'owner@example.com')}"}
    body = {
        "project_id": dataset.project_id,
        "image_id": dataset.image_ids[0],
        "annotation_type": "bbox",
        "geometry": {"type": "bbox", "bbox": [1, 2, 30, 40], "image_width": 640, "image_height": 480},
    }
    holder = await asyncpg.connect(variables["LABELER_DB_URL"])
    try:
        held = holder.transaction()
        await held.start()
        await holder.execute("SELECT FROM annotation_projects WHERE id = $1 FOR UPDATE", dataset.project_id)
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:
            url = f"http://127.0.0.1:{variables['API_PORT']}/api/v1/annotations"
            save = asyncio.create_task(client.post(url, json=body))
            await _waiting(holder)
            process.send_signal(signal.SIGTERM)
            await _closed(int(variables["API_PORT"]))
            await held.rollback()
            answer = await save
    finally:
        await holder.close()
    assert answer.status_code == 200
    assert await asyncio.wait_for(process.wait(), 30) in {0, -signal.SIGTERM}
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT count(*) FROM annotations WHERE id = $1", answer.json()["id"]) == 1


async def _waiting(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Until some statement waits for the lock."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(30):
        while not await connection.fetchval(sql):  # noqa: ASYNC110 - PostgreSQL has no event to wait for
            await asyncio.sleep(0.02)


async def _closed(port: int) -> None:
    """Until the port takes no connections: the signal has been understood."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.02)
