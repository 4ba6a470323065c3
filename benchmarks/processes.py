"""API processes beside the one of a stack that was started for a benchmark, and the cores that they run on."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from labeler_ops.stack.ports import free_port

_START_SECONDS = 60
_QUIET_SECONDS = 30  # as long as a request may take
_UNDER_WAY_ALONE = re.compile(r"^labeler_http_requests_open 1\.0$", re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """Which cores the servers and the load may use; all of them where there is one only."""

    servers: Sequence[int]
    load: Sequence[int]

    @classmethod
    def present(cls) -> "Cores":
        """Divide what this machine has."""
        found = sorted(os.sched_getaffinity(0))
        return cls(found[:-1] or found, found[-1:])


class Server(NamedTuple):
    """A server's address and its process."""

    url: str
    pid: int


@asynccontextmanager
async def api_process(
    environment: Mapping[str, str], *arguments: str, cores: Iterable[int] = (), **changed: str
) -> AsyncIterator[Server]:
    """Start an API process and yield it. `arguments` are Python's, `cores` those that it may use."""
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
        yield Server(address, running.pid)
    finally:
        running.terminate()
        running.wait(30)


async def _answers(client: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(f"{address}/health")).is_success
    except httpx.TransportError:
        return False


def api_of(ready: Mapping[str, Any]) -> Server:
    """The API process that the stack started."""
    return Server(ready["api"], ready["pids"]["api"])


async def quiet(server: Server) -> None:
    """Wait until an API process has no request under way but the one that asks it."""
    async with asyncio.timeout(_QUIET_SECONDS), httpx.AsyncClient(base_url=server.url) as client:
        while not _UNDER_WAY_ALONE.search((await client.get("/metrics")).raise_for_status().text):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@contextmanager
def pinned(pid: int, cores: Iterable[int]) -> Iterator[None]:
    """Let a process run on these cores alone while the block lasts: what it computes itself, not what it starts."""
    before = os.sched_getaffinity(pid)
    os.sched_setaffinity(pid, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(pid, before)


def environment_of(pid: int) -> dict[str, str]:
    """Return the settings that the stack gave to its API (Linux)."""
    pairs = (pair.partition("=") for pair in Path(f"/proc/{pid}/environ").read_text().split("\0") if pair)
    return {**os.environ, **{name: value for name, _, value in pairs}}


def cpu_seconds(pid: int, *, children: bool = True) -> float:
    """Return the CPU time of a server's child processes so far, which is where PostgreSQL works; or its own (Linux).

    Children that have ended count, too: a connection or a parallel worker that is gone had its cost.
    """
    if not children:
        return sum(_ticks(pid)[:2]) / _TICKS
    while True:
        ended = _ticks(pid)[2:]
        total = sum(sum(_ticks(int(path.name))) for path in Path("/proc").glob("[0-9]*") if _parent(path.name) == pid)
        if _ticks(pid)[2:] == ended:  # else one ended meanwhile, and may be counted twice
            return (total + sum(ended)) / _TICKS


def _ticks(pid: int) -> tuple[int, int, int, int]:
    """User and system time of a process, and those of its ended children; zeros for one that is gone."""
    user, system, children_user, children_system = map(int, _stat(pid)[11:15] or (0, 0, 0, 0))
    return user, system, children_user, children_system


def _parent(pid: str) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _stat(pid: int | str) -> list[str]:
    """The fields behind the name; none of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
