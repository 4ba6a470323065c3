"""`python -m user_gateway` as a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.fixtures.users import ALL_SCOPES, GATEWAY_TOKEN

_SECONDS = 20.0  # importing gRPC alone takes one on a busy machine


class GatewayProcess:
    """A started process; `lines` are its log as far as it was read."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.stderr = ""
        self.ready: dict[str, Any] = {}
        self._reading = asyncio.create_task(self._read())

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ready['port']}"

    async def wait_ready(self) -> None:
        """Read the line that tells the ports."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), _SECONDS)
        assert line, f"ended with {await self.process.wait()}: {self.stderr}"
        self.ready = json.loads(line)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait for the end; return the exit code."""
        code = await asyncio.wait_for(self.process.wait(), _SECONDS)
        await self._reading
        return code

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()
        # The pipes' transports are closed when the loop next runs.
        await asyncio.sleep(0)

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.stderr += line.decode()
            if line.startswith(b"{"):
                self.lines.append(json.loads(line))


Start = Callable[..., Awaitable[GatewayProcess]]
"""The fixture `start`: processes that are gone after the test."""


async def start(dsn: str, **variables: str) -> GatewayProcess:
    """Start the process; only what it needs is in its environment."""
    environment: Mapping[str, str] = {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "test",
        "USER_DB_URL": dsn,
        "USER_GATEWAY_HOST": "127.0.0.1",
        "USER_GATEWAY_PORT": "0",
        "USER_GATEWAY_TOKENS": f"labeler={GATEWAY_TOKEN}:{ALL_SCOPES}",
    } | variables
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "user_gateway",
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return GatewayProcess(process)
