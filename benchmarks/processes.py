"""API processes beside the one of a stack that was started for a benchmark."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from labeler_ops.stack.ports import free_port

_START_SECONDS = 60


@asynccontextmanager
async def api_process(
    environment: Mapping[str, str], *arguments: str, cores: Iterable[int] = (), **changed: str
) -> AsyncIterator[str]:
    """Start an API process and yield its address. `arguments` are Python's, `cores` those that it may use."""
    address = f"http://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    running = subprocess.Popen(
        [sys.executable, *(arguments or ("-m", "labeler_api"))],
        env={**environment, "PORT": port, "API_PORT": port, **changed},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if cores:
        os.sched_setaffinity(running.pid, cores)
    try:
        async with asyncio.timeout(_START_SECONDS), httpx.AsyncClient() as client:
            while not await _answers(client, address):  # noqa: ASYNC110 - a process has no event to wait for
                await asyncio.sleep(0.1)
        yield address
    finally:
        running.terminate()
        running.wait(30)


async def _answers(client: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(f"{address}/health")).is_success
    except httpx.TransportError:
        return False


def environment_of(pid: int) -> dict[str, str]:
    """Return the settings that the stack gave to its API (Linux)."""
    pairs = (pair.partition("=") for pair in Path(f"/proc/{pid}/environ").read_text().split("\0") if pair)
    return {**os.environ, **{name: value for name, _, value in pairs}}
