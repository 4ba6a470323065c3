"""Connections for migrations: SQLAlchemy's async engine over asyncpg, one connection, no pool."""

import asyncio
from time import monotonic

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

# One number for every program that changes the schema: an advisory lock's key is shared by agreement only.
ADVISORY_LOCK = 0x1ABE_1E5C_4E3A

# A migration that waits for a lock makes everybody else wait behind it. After this it lets them pass; an autovacuum,
# which gives way after a second, is gone by then.
LOCK_TIMEOUT = "2s"

_RUNNER_SECONDS = 900.0  # how long a second runner waits for the first one
_ASK_SECONDS = 0.25


class AnotherRunnerError(Exception):
    """Another upgrade of the same database has not ended for a quarter of an hour."""


async def take_turn(connection: AsyncConnection) -> None:
    """Wait for other upgrades of the database to end, and keep others waiting as long as the connection is open.

    Asks again and again. A statement that waited would hold a snapshot, and an index that is built beside others waits
    for every snapshot: the two runners would wait for each other. Raises AnotherRunnerError.
    """
    until = monotonic() + _RUNNER_SECONDS
    while not await connection.scalar(text(f"SELECT pg_try_advisory_lock({ADVISORY_LOCK})")):
        await connection.rollback()
        if monotonic() > until:
            raise AnotherRunnerError("another upgrade of this database has been at work for 15 minutes")
        await asyncio.sleep(_ASK_SECONDS)
    await connection.commit()


def engine(dsn: str) -> AsyncEngine:
    """Make an engine for `postgresql://…`; asyncpg reads the URL itself, `sslmode` and its kin included."""

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            dsn,
            timeout=30,  # seconds; a managed database that sleeps takes up to ten to wake
            server_settings={
                "application_name": "labeler-migrations",
                "timezone": "UTC",
                "lock_timeout": LOCK_TIMEOUT,
                "statement_timeout": "0",  # a rewrite of a large table takes as long as it takes
                "idle_in_transaction_session_timeout": "0",
                "search_path": "public",
                "default_transaction_isolation": "read committed",  # whatever the database says for everybody
            },
        )

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
