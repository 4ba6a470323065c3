"""A guide that is followed: a shell that is typed into, and the guide's placeholders replaced by the test's servers."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from labeler_ops.backup import clients
from tests.guides.reading import Block, Guide


class Shell:
    """One shell that is typed into block by block; a block that fails ends the test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def type(self, lines: str) -> str:
        """Type a block, and return what is said until it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{lines}\necho '(end of the block)'\n".encode())
        said = b""
        while not said.endswith(b"(end of the block)\n"):
            line = await self._process.stdout.readline()
            assert line, f"it failed:\n{lines}\n{said.decode()}"
            said += line
        return said.decode()


@asynccontextmanager
async def shell(directory: Path, environ: Mapping[str, str]) -> AsyncIterator[Shell]:
    """Start one with these variables of ours and no others."""
    plain = {
        name: value for name, value in os.environ.items() if not re.search(r"LABELER|DATABASE|S3_|BACKUP|PG", name)
    }
    path = f"{Path(sys.executable).parent}:{clients.find(15).bin_dir}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-e",
        env={**plain, **environ, "PATH": path, "COLUMNS": "200"},
        cwd=directory,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    yield Shell(process)
    if process.returncode is None:
        process.terminate()
    await process.wait()


def filled_in(block: Block, guide: Guide, values: Mapping[str, str]) -> str:
    """Put the test's servers in the place of the guide's placeholders. The longest first: some begin like others."""
    front = yaml.safe_load(guide.text.split("---\n")[1])["placeholders"]
    text = "\n".join(block.lines)
    for placeholder, name in sorted(front.items(), key=lambda item: -len(item[0])):
        text = text.replace(placeholder, values[name])
    typed = re.sub(r"\s#.*", "", text)
    assert "…" not in typed, f"a placeholder has no value: {typed}"
    assert "example.com:" not in typed
    return text
