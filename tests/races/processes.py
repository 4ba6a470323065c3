"""API processes as they run in production: one worker each, real sockets, and signals that hit them."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from labeler_ops.stack.ports import free_port
from labeler_ops.stack.processes import Process, spawn
from tests.fixtures.api import JWT_SECRET, PUBLIC_URL, USER_IDS, Api, Made
from tests.fixtures.held_loop import HELD, HELD_SECONDS

CROWD = range(1001, 1101)
"""Ids of a hundred more accounts."""

_START_SECONDS = 60.0  # two, on a machine with nothing else to do
_STOP_SECONDS = 30.0
_ANSWER_SECONDS = 60.0  # longer than a request may take in the API


class ApiProcess:
    """One `python -m labeler_api`. Its port stays the same over a restart."""

    def __init__(self, variables: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self._variables = variables
        self._log = log
        self._process: Process | None = None
        self._was_paused = False  # its event loop stood still, and no request was to blame

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def database(self) -> str:
        """The URL of its database."""
        return self._variables["LABELER_DB_URL"]

    def sibling(self, log: Path, **changed: str) -> "ApiProcess":
        """One more like this, which is not started yet."""
        return ApiProcess({**self._variables, **changed}, log)

    @property
    def log(self) -> str:
        """What it wrote, of every start."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def log_path(self) -> Path:
        return self._log

    def check_log(self) -> None:
        """It met nothing that it did not expect, and no request held its event loop."""
        assert "unexpected error" not in self.log, self.log[-6000:]
        assert "Traceback" not in self.log, self.log[-6000:]
        assert self._was_paused or HELD not in self.log, self.log[-6000:]

    def launch(self, log: Path | None = None, **changed: str) -> None:
        """Start it without waiting; with another log, and with variables changed."""
        environment = {
            "PATH": os.environ["PATH"],
            "ENVIRONMENT": "test",
            "LOG_LEVEL": "WARNING",
            "EVENT_LOOP_STEP_SECONDS": str(HELD_SECONDS),
            "JWT_SECRET_KEY": JWT_SECRET,
            "API_PUBLIC_URL": PUBLIC_URL,
            "API_PORT": str(self.port),
            # Fewer connections than requests at once, so that requests wait for one, too.
            "DB_POOL_SIZE": "2",
            "DB_MAX_OVERFLOW": "4",
            **self._variables,
            **changed,
        }
        self._process = spawn("api", [sys.executable, "-m", "labeler_api"], log=log or self._log, env=environment)

    async def ready(self, path: str = "/health/ready") -> None:
        """Wait until it answers."""
        async with asyncio.timeout(_START_SECONDS), httpx.AsyncClient(trust_env=False) as client:
            while True:
                assert self._running().exit_code() is None, self.log[-4000:]
                try:
                    answer = await client.get(f"{self.url}{path}", timeout=10)
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.status_code == 200:
                    return
                await asyncio.sleep(0.02)

    def pause(self) -> None:
        """Freeze it where it is, as a machine without memory or a laptop's lid does."""
        self._was_paused = True
        self._running().send(signal.SIGSTOP)

    def resume(self) -> None:
        self._running().send(signal.SIGCONT)

    async def kill(self) -> None:
        """End it without a word."""
        self._running().send(signal.SIGKILL)
        assert await self._running().ended(_STOP_SECONDS)

    async def stop(self) -> None:
        if self._process is not None:
            await self._process.stop((signal.SIGCONT, 0.0), (signal.SIGTERM, _STOP_SECONDS))

    def _running(self) -> Process:
        assert self._process is not None
        return self._process


@dataclass
class Cluster:
    """Several API processes on one database. `api` is an application in the test's own process, for its builders."""

    api: Api
    processes: list[ApiProcess]
    _clients: list[httpx.AsyncClient] = field(default_factory=list)

    def client(self, account: str, process: int = 0) -> httpx.AsyncClient:
        """A client of one process, with the account's token and as many connections as it needs."""
        return self.client_of(USER_IDS[account], f"{account}@example.com", process)

    def client_of(self, user_id: int, email: str, process: int = 0) -> httpx.AsyncClient:
        client = httpx.AsyncClient(
            base_url=self.processes[process].url,
            headers={"Authorization": f"Bearer {self.api.token(user_id, email)}"},
            timeout=_ANSWER_SECONDS,
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
            verify=False,  # plain HTTP; else each client loads the certificates of the world
        )
        self._clients.append(client)
        return client

    def crowd(self) -> dict[int, httpx.AsyncClient]:
        """A client for each of a hundred users, spread over the processes."""
        size = len(self.processes)
        return {user_id: self.client_of(user_id, f"user{user_id}@example.com", user_id % size) for user_id in CROWD}

    async def admit(self, made: Made, role: str = "annotator") -> None:
        """Make the crowd members of a project."""
        async with self.api.db.begin() as tx:
            await tx.execute(
                "INSERT INTO project_permissions (project_id, user_id, role, granted_by)"
                " SELECT $1, unnest($2::int[]), $3, 2",
                made.project_id,
                list(CROWD),
                role,
            )

    def clients(self, account: str) -> list[httpx.AsyncClient]:
        """A client of each process."""
        return [self.client(account, number) for number in range(len(self.processes))]

    def check_logs(self) -> None:
        """No process met what it did not expect."""
        for process in self.processes:
            process.check_log()

    async def close_clients(self) -> None:
        while self._clients:
            await self._clients.pop().aclose()


def seeded(seed: int, *names: object) -> random.Random:
    """A source of chance that is the same in each run."""
    return random.Random(f"{seed}/{'/'.join(map(str, names))}")
