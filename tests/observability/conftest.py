"""Both services as processes, watched: two API workers, traces to a receiver, logs kept, a token for the numbers."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.ports import free_port
from tests.fixtures import gateway_process as process
from tests.fixtures.api import JWT_SECRET, storage_environment
from tests.fixtures.gateway_process import GatewayProcess
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.users import GATEWAY_TOKEN
from tests.observability.receiver import Receiver, receiving

METRICS_TOKEN = "a token for who reads the numbers, long enough"
LINK_KEY = "a key for links in tests, long enough to be one"
PASSWORD = "owner123"


@dataclass
class Watched:
    """A running system, and what came out of it."""

    api: str
    gateway: GatewayProcess
    receiver: Receiver
    lines: list[str] = field(default_factory=list)

    @property
    def gateway_http(self) -> str:
        return f"http://127.0.0.1:{self.gateway.ready['health_port']}"

    def logged(self, **facts: object) -> list[dict[str, Any]]:
        """The API's log lines with these members."""
        lines = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [line for line in lines if all(line.get(name) == value for name, value in facts.items())]

    async def until_logged(self, **facts: object) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while not (found := self.logged(**facts)):  # noqa: ASYNC110 - the lines come from another process
                await asyncio.sleep(0.02)
        return found[0]

    async def log_in(self) -> httpx.AsyncClient:
        client = httpx.AsyncClient(base_url=self.api, timeout=30)
        body = {"email": "owner@example.com", "password": PASSWORD}
        answer = await client.post("/api/v1/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client


@pytest.fixture(scope="session")
async def watched(
    create_database: DatabaseFactory, labeler_template: str, users_dsn: str, object_store: SeaweedServer
) -> AsyncIterator[Watched]:
    with receiving() as receiver:
        otel = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "LOG_LEVEL": "DEBUG",
            "METRICS_TOKEN": METRICS_TOKEN,
        }
        gateway = await process.start(users_dsn, PORT=str(free_port()), **otel)
        await gateway.wait_ready()
        port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "ENVIRONMENT": "test",
            "JWT_SECRET_KEY": JWT_SECRET,
            "MEDIA_LINK_KEYS": LINK_KEY,
            "LABELER_DB_URL": await create_database(labeler_template),
            "DB_POOL_SIZE": "1",
            "USER_GATEWAY_ADDRESS": gateway.address,
            "USER_GATEWAY_TOKEN": GATEWAY_TOKEN,
            "API_PORT": str(port),
            "API_WORKERS": "2",
            "USER_CACHE_SECONDS": "0",  # whichever worker answers asks the gateway
            **storage_environment(object_store),
            **otel,
        }
        api = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "labeler_api",
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        running = Watched(f"http://127.0.0.1:{port}", gateway, receiver)
        reading = asyncio.create_task(_read(api, running.lines))
        try:
            await _until_ready(running)
            yield running
        finally:
            api.terminate()  # not kill: the workers of a killed parent live on
            await asyncio.wait_for(api.wait(), 60)
            await reading
            gateway.terminate()
            await gateway.ended()


async def _read(api: asyncio.subprocess.Process, lines: list[str]) -> None:
    assert api.stdout is not None
    async for line in api.stdout:
        lines.append(line.decode())


async def _until_ready(running: Watched) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient() as client:
        while True:
            try:
                if (await client.get(f"{running.api}/health/ready", timeout=10)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
