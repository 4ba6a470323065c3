"""One PostgreSQL server of our own, run in the foreground as a child process."""

import asyncio
import os
import shutil
import signal
import time
from pathlib import Path
from urllib.parse import quote

from labeler_ops.errors import StackError
from labeler_ops.stack import unprivileged
from labeler_ops.stack.ports import HOST
from labeler_ops.stack.postgres_install import PostgresInstall, find_install
from labeler_ops.stack.processes import POLL_SECONDS, Process, spawn

__all__ = ["PostgresInstall", "PostgresServer", "find_install"]

_INIT_SECONDS = 120.0  # 1 s usually; slow disks
_START_SECONDS = 60.0  # crash recovery replays the log since the last checkpoint first
_STOP_SECONDS = 20.0  # a fast shutdown writes a checkpoint
_DATABASE_MAX_CONNECTIONS = 200  # the API's pool, the gateway's, and the tests' many small ones
_NOT_DURABLE = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
)
# The whole cluster stays small: these are a developer's machine and a test run, not a server.
_SETTINGS = (
    f"listen_addresses={HOST}",
    "unix_socket_directories=",  # no socket file: its path may be too long, and TCP is what production uses
    f"max_connections={_DATABASE_MAX_CONNECTIONS}",
    "timezone=UTC",
    "log_timezone=UTC",
    "logging_collector=off",
    "cluster_name=labeler",
)


class PostgresServer:
    """A PostgreSQL cluster in `data_dir`, listening on 127.0.0.1:`port`.

    `durable=False` is for tests: quick, and all is lost when the machine (not the process) crashes.
    """

    def __init__(
        self,
        install: PostgresInstall,
        data_dir: Path,
        port: int,
        superuser: str = "labeler_admin",
        password: str = "labeler_admin",  # noqa: S107 - for tests; the stack makes one of its own
        *,
        durable: bool = True,
        log: Path | None = None,
    ) -> None:
        self.install = install
        self.data_dir = data_dir.absolute()
        self.port = port
        self.superuser = superuser
        self.durable = durable
        self._password = password
        self._log = log or data_dir.with_name(data_dir.name + ".log")
        self.process: Process | None = None

    def dsn(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """Give the URL of a database, as the superuser unless another user is named."""
        if user is None:
            user, password = self.superuser, self._password
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        return f"postgresql://{login}@{HOST}:{self.port}/{quote(database, safe='')}"

    @property
    def initialised(self) -> bool:
        """Whether the cluster exists."""
        return (self.data_dir / "PG_VERSION").exists()

    async def initialise(self) -> None:
        """Make the cluster unless it exists; it appears whole or not at all. Raises StackError."""
        if self.initialised:
            return
        scratch = self.data_dir.with_name(self.data_dir.name + ".new")
        _remove(scratch)
        scratch.mkdir(mode=0o700, parents=True)
        await self._initdb(scratch)
        _remove(self.data_dir)
        scratch.rename(self.data_dir)

    async def start(self) -> None:
        """Start the server and wait until it takes connections. Raises StackError with the end of its log."""
        self.launch()
        await self.wait_ready()

    def launch(self) -> None:
        """Start the server without waiting for it."""
        settings = (*_SETTINGS, f"port={self.port}", *(() if self.durable else _NOT_DURABLE))
        options = [part for setting in settings for part in ("-c", setting)]
        prefix = unprivileged.prefix(self.data_dir, self.install.bin_dir)
        argv = [self.install.program("postgres"), "-D", self.data_dir, *options]
        # SIGQUIT ends the whole cluster at once; the next start recovers from the log.
        self.process = spawn(
            "postgres", argv, prefix=prefix, log=self._log, cwd=self.data_dir, death_signal=signal.SIGQUIT
        )

    async def wait_ready(self, seconds: float = _START_SECONDS) -> None:
        """Wait until the launched server takes connections. Raises StackError with the end of its log."""
        deadline = time.monotonic() + seconds
        while not self._says_ready():
            if self._running().exit_code() is not None:
                raise StackError(f"PostgreSQL did not start; the end of {self._log}:\n{self._running().tail()}")
            if time.monotonic() > deadline:
                raise StackError(f"PostgreSQL did not start within {seconds:.0f} s; see {self._log}")
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Stop the server: clients are disconnected, all that was committed is on disk."""
        process, self.process = self.process, None
        if process is not None:
            await process.stop((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, _STOP_SECONDS))

    def kill(self) -> None:
        """Crash the server, as a power cut would: for tests of what survives it."""
        self._running().send(signal.SIGQUIT)

    def _running(self) -> Process:
        if self.process is None:
            raise RuntimeError("the PostgreSQL server has not been launched")
        return self.process

    def _says_ready(self) -> bool:
        # The server writes its pid in line 1 and its state in line 8, as `pg_ctl --wait` reads them.
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self._running().pid) and lines[7].strip() == "ready"  # noqa: PLR2004

    async def _initdb(self, directory: Path) -> None:
        prefix = unprivileged.prefix(directory, self.install.bin_dir)
        password = self._write_password(directory)
        argv: list[str | Path] = [self.install.program("initdb"), "--pgdata", directory]
        # The wheel has no ICU; C.UTF-8 sorts by code point, the same on every machine.
        argv += ["--username", self.superuser, "--encoding=UTF8", "--locale=C.UTF-8"]
        argv += ["--auth=scram-sha-256", f"--pwfile={password}", *([] if self.durable else ["--no-sync"])]
        try:
            process = spawn("initdb", argv, prefix=prefix, log=self._log)
            if not await process.ended(_INIT_SECONDS) or process.exit_code() != 0:
                await process.stop()
                raise StackError(f"initdb failed; the end of {self._log}:\n{process.tail()}")
        finally:
            password.unlink()

    def _write_password(self, directory: Path) -> Path:
        """Write the superuser's password for initdb, readable by the directory's owner only: initdb may run as it."""
        path = directory.with_name(directory.name + ".password")
        path.touch(mode=0o600)
        owner = directory.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
        path.write_text(self._password + "\n")
        return path


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
