"""The guide to backups, run as it stands: every line in order, from the first backup to the disaster and back.

Its placeholders are replaced by the table at its beginning. What is not a line is done by the test: the disaster comes
before the chapter of the way back, and a deployment before the first look at it. It takes half a minute, for which
`labeler` is started some fifteen times.
"""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from labeler_ops.backup import clients, contents
from labeler_ops.database.roles import ROLES
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.sides import variables
from tests.fixtures.users import RunningGateway
from tests.guides.reading import Block, Guide, guides
from tests.labeler_ops.backup.conftest import bucket, count, execute, named, source, store
from tests.races.processes import ApiProcess

__all__ = ["bucket", "source", "store"]

GUIDE = next(guide for guide in guides() if guide.name == "backup-and-restore.md")
WAY_BACK = "## 7."


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


@pytest.fixture
async def shell(store: StorageAccess, tmp_path: Path) -> AsyncIterator[Shell]:
    plain = {
        name: value for name, value in os.environ.items() if not re.search(r"LABELER|DATABASE|S3_|BACKUP|PG", name)
    }
    path = f"{Path(sys.executable).parent}:{clients.find(15).bin_dir}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-e",
        env={**plain, **variables(store), "PATH": path, "COLUMNS": "200"},
        cwd=tmp_path,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    yield Shell(process)
    if process.returncode is None:
        process.terminate()
    await process.wait()


def filled_in(block: Block, guide: Guide, values: dict[str, str]) -> str:
    """Put the test's servers in the place of the guide's placeholders. The longest first: some begin like others."""
    front = yaml.safe_load(guide.text.split("---\n")[1])["placeholders"]
    text = "\n".join(block.lines)
    for placeholder, name in sorted(front.items(), key=lambda item: -len(item[0])):
        text = text.replace(placeholder, values[name])
    typed = re.sub(r"\s#.*", "", text)
    assert "…" not in typed, f"a placeholder has no value: {typed}"
    assert "example.com:" not in typed
    return text


async def test_the_guide_to_backups_can_be_followed(
    shell: Shell, source: str, bucket: str, object_store: SeaweedServer, gateway: RunningGateway, store: StorageAccess,
    tmp_path: Path,
) -> None:  # fmt: skip
    admin, restored = named(source, "postgres"), f"restored_{os.getpid()}"
    server = urlsplit(source).netloc.rpartition("@")[2]
    serving = f"postgresql://{ROLES['labeler']}:of-the-guide@{server}/{restored}"
    api = ApiProcess(
        {
            **variables(store),
            "LABELER_DB_URL": serving,
            "USER_GATEWAY_ADDRESS": gateway.address,
            "USER_GATEWAY_TOKEN": gateway.token,
        },
        tmp_path / "api.log",
    )
    values = {
        "PLACE": f"s3://{bucket}/production",
        "STORE": object_store.access.endpoint,
        "ACCESS_KEY": f"BACKUP_S3_ACCESS_KEY={object_store.access.access_key}",
        "SECRET_KEY": f"BACKUP_S3_SECRET_KEY={object_store.access.secret_key}",
        "SOURCE": source,
        "SCRATCH": admin,
        "ADMIN": named(source, restored),
        "RESTORED": serving,
        "ENTRANCE": admin,
        "ROLE_PASSWORD": "LABELER_ROLE_PASSWORD=of-the-guide",
        "SMOKE_PASSWORD": "LABELER_SMOKE_PASSWORD=owner123",
        "API": api.url,
    }
    before = await contents.take(source)
    back = GUIDE.text[: GUIDE.text.index(WAY_BACK)].count("\n") + 1
    destroyed = launched = False
    said = ""
    try:
        for block in GUIDE.blocks():
            if block.kind != "sh":
                continue
            if block.line > back and not destroyed:
                await execute(admin, f'DROP DATABASE "{source.rpartition("/")[2]}" WITH (FORCE)')
                destroyed = True
            text = filled_in(block, GUIDE, values).replace("CREATE DATABASE restored", f"CREATE DATABASE {restored}")
            if "labeler smoke" in text and not launched:
                api.launch(API_PUBLIC_URL=api.url)
                await api.ready()
                launched = True
            said += await shell.type(text)
        assert destroyed
        assert launched
        assert said.count("The same: every row and definition") == 3, said  # verified, made with a trial, restored
        assert said.count("everything works") == 2, said
        assert said.count(before.digest[:16]) >= 4, said  # made, verified, listed, restored
        assert await count(serving, "annotations") == 500
    finally:
        await api.stop()
        await execute(admin, f"DROP DATABASE IF EXISTS {restored} WITH (FORCE)")
