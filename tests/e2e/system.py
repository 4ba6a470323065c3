"""The whole system as a newcomer starts it: `labeler up` in a process of its own, reached over HTTP only."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

_READY_SECONDS = 180  # usually ten; the object store's first registration and a busy machine may take more
_STOP_SECONDS = 60
# What the person at the keyboard may have set for a system of their own.
_OWN_PREFIXES = ("LABELER_", "USER_DB", "USER_GATEWAY", "PLATFORM_DB", "DATABASE_", "PG", "S3_", "API_", "PORT", "JWT_")


@dataclass(frozen=True)
class System:
    """A started system: where its API is, and who may log in."""

    api: str
    passwords: dict[str, str]

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(base_url=self.api, headers=headers, timeout=60, follow_redirects=False)

    async def login(self, role: str) -> httpx.AsyncClient:
        """Log in as the demo account of this name; return a client that carries its token."""
        email = f"{role}@example.com"
        async with self.client() as nobody:
            answer = await nobody.post("/api/v1/auth/login", json={"email": email, "password": self.passwords[email]})
        assert answer.status_code == 200, answer.text
        return self.client(answer.json()["access_token"])


@asynccontextmanager
async def started(directory: Path) -> AsyncIterator[System]:
    """Run `labeler up --ephemeral` on free ports until the block ends."""
    ready, log = directory / "ready.json", directory / "up.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_PREFIXES)}
    environment |= {"API_PORT": "0", "USER_GATEWAY_PORT": "0"}
    command = [sys.executable, "-m", "labeler_ops.cli", "up", "--ephemeral", "--no-demo", "--ready-file", str(ready)]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=output, env=environment, cwd=directory
        )
    try:
        await _until_ready(ready, process, log)
        facts = json.loads(ready.read_text())
        yield System(facts["api"], {account["email"]: account["password"] for account in facts["accounts"]})
    finally:
        await _stop(process)


async def _until_ready(ready: Path, process: asyncio.subprocess.Process, log: Path) -> None:
    for _ in range(_READY_SECONDS * 10):
        if _exists(ready):
            return
        if process.returncode is not None:
            break
        await asyncio.sleep(0.1)
    raise AssertionError(f"the system did not start; the end of its output:\n{_tail(log)}")


def _exists(path: Path) -> bool:
    return path.exists()


def _tail(log: Path) -> str:
    return log.read_text()[-4000:]


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End it as Ctrl-C does."""
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
