"""One running system for the package, with the demo project, and the command line as a process of its own."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labeler_ops.smoke.deployment import SmokeAccount
from tests.fixtures.running_stack import LABELER, Up

OWNER = SmokeAccount("owner@example.com", "owner123")
VIEWER = SmokeAccount("viewer@example.com", "viewer123")


@dataclass(frozen=True)
class Deployed:
    """A system that answers."""

    url: str
    database: str
    pids: dict[str, int]


@dataclass(frozen=True)
class Ended:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def states(self) -> dict[str, str]:
        """The state of each step of a smoke."""
        return {step["name"]: step["state"] for step in self.json()["steps"]}


@pytest.fixture(scope="package")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with Up(None, "--ephemeral", files=tmp_path_factory.mktemp("deployed")) as up:
        facts = up.ready()
        yield Deployed(facts["api"], facts["databases"]["labeler"], facts["pids"])


async def start(command: str, url: str, *options: str) -> asyncio.subprocess.Process:
    """Start `labeler <command>` against a deployment, as the owner."""
    passwords = {"LABELER_SMOKE_PASSWORD": OWNER.password, "LABELER_SMOKE_MEMBER_PASSWORD": VIEWER.password}
    return await asyncio.create_subprocess_exec(
        LABELER,
        command,
        "--url",
        url,
        "--email",
        OWNER.email,
        "--json",
        *options,
        env={**os.environ, **passwords, "NO_PROXY": "*"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(command: str, url: str, *options: str) -> Ended:
    """Run it to its end."""
    return await ended(await start(command, url, *options))


async def ended(process: asyncio.subprocess.Process) -> Ended:
    out, err = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


def broken_copy_environment(environ: dict[str, str], port: int, dead_port: int) -> dict[str, str]:
    """What a copy of an API is started with whose object store is away."""
    return {**environ, "API_PORT": str(port), "S3_ENDPOINT": f"http://127.0.0.1:{dead_port}", "JOBS": "off"}


PYTHON = Path(sys.executable)
