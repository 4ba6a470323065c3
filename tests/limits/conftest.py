"""A Redis or Valkey of the test's own, which it may stop, freeze and start again."""

import asyncio
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from labeler_api.limits.counters import LimitStorage
from labeler_ops.stack.ports import free_port

_START_SECONDS = 20.0  # a tenth of one, on a machine with nothing else to do


class SharedStorage:
    """The server's process; its port stays the same over a restart."""

    def __init__(self, directory: Path) -> None:
        found = shutil.which("redis-server") or shutil.which("valkey-server")
        assert found, "no redis-server and no valkey-server: run `sh tests/install.sh`"
        self._program, self._directory = found, directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        self._launch()
        async with asyncio.timeout(_START_SECONDS), Redis(port=self.port) as client:
            while True:
                try:
                    await client.ping()
                except (RedisError, OSError):
                    await asyncio.sleep(0.02)
                else:
                    return

    def _launch(self) -> None:
        command = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self._directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([*command, "--dir", str(self._directory)], stdout=log, stderr=log)

    def freeze(self) -> None:
        """It keeps its connections, takes new ones, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SharedStorage]:
    """A server that is not started yet."""
    made = SharedStorage(tmp_path)
    yield made
    made.stop()


@pytest.fixture
async def shared(server: SharedStorage) -> SharedStorage:
    """A server that answers."""
    await server.start()
    return server


@pytest.fixture
async def storages(shared: SharedStorage) -> AsyncIterator[list[LimitStorage]]:
    """What two processes have, on one server. With patience: a busy machine must not make it an absent one."""
    made = [LimitStorage(shared.url, wait_seconds=20.0) for _ in range(2)]
    yield made
    for storage in made:
        await storage.close()
