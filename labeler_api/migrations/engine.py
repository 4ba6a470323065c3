"""Connections for migrations: SQLAlchemy's async engine over asyncpg, one connection, no pool."""

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

# One number for every program that changes the schema: an advisory lock's key is shared by agreement only.
ADVISORY_LOCK = 0x1ABE_1E5C_4E3A

# A migration that waits for a lock makes everybody else wait behind it. After this it lets them pass; an autovacuum,
# which gives way after a second, is gone by then.
LOCK_TIMEOUT = "2s"

# How long a second runner waits for the first one.
RUNNER_TIMEOUT = "15min"


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
            },
        )

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
