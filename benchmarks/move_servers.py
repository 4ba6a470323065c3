"""The two PostgreSQL servers of `benchmarks.move`: the same program, the same settings, on one machine."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from labeler_ops.stack.ports import free_port
from labeler_ops.stack.postgres import PostgresServer, find_install

SETTINGS = {
    "wal_level": "logical",  # as both sides of a replication must have it; for all measurements, so that they compare
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",  # checkpoints are made before each measurement, and seldom in one
    "checkpoint_timeout": "15min",
}
"""What is not PostgreSQL's default, on both."""
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Servers:
    """Both, running."""

    source: PostgresServer
    target: PostgresServer

    @property
    def bin_dir(self) -> Path:
        """Where the programs are, those of the clients as well."""
        return self.target.install.bin_dir

    async def empty(self, name: str, *, of: PostgresServer | None = None) -> str:
        """Make an empty database on the target, or on another server, in place of the one of that name; its URL."""
        server = of or self.target
        await execute(server.dsn("postgres"), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await execute(server.dsn("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
        return server.dsn(name)

    async def drop(self, *names: str) -> None:
        """Drop databases of the target."""
        for name in names:
            await execute(self.target.dsn("postgres"), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def settled(self) -> None:
        """Write out what the last step left: the next one must not pay for it."""
        for server in (self.source, self.target):
            await execute(server.dsn("postgres"), "CHECKPOINT")
        os.sync()


@asynccontextmanager
async def running(home: Path, *, durable: bool) -> AsyncIterator[Servers]:
    """Start both in directories of `home`, and stop them."""
    install = find_install(os.environ)
    # Not `durable=False`: that is for tests, and its wal_level knows no replication.
    servers = [PostgresServer(install, home / name, free_port()) for name in ("source", "target")]
    settings = SETTINGS if durable else SETTINGS | _NOT_DURABLE
    try:
        for server in servers:
            await server.initialise()
            with (server.data_dir / "postgresql.conf").open("a") as file:
                file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
            await server.start()
        yield Servers(*servers)
    finally:
        for server in servers:
            with suppress(RuntimeError):  # not started
                await server.stop()


async def execute(url: str, sql: str) -> None:
    """Run one statement, or several."""
    connection = await asyncpg.connect(url, timeout=20)
    try:
        await connection.execute(sql)
    finally:
        await connection.close(timeout=5)
