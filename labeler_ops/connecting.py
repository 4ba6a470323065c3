"""One connection to PostgreSQL for a command's work."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg

from labeler_api.db.failures import FAILURES
from labeler_ops.database.errors import DatabaseRefused

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_CONNECT_SECONDS = 20.0  # a managed database that sleeps takes up to ten seconds to wake
_CLOSE_SECONDS = 5.0


@asynccontextmanager
async def connected(
    url: str,
    failing: str = "the database cannot be reached",
    *,
    settings: Mapping[str, str] | None = None,
    prepared: bool = True,
) -> AsyncIterator[Connection]:
    """Connect, and hang up at the end. Raises DatabaseRefused with `failing` and what the server says.

    Not `prepared`: no statement is kept, as behind a pooler. What fails inside the block is the caller's.
    """
    try:
        connection = await asyncpg.connect(
            url,
            timeout=_CONNECT_SECONDS,
            server_settings=dict(settings or {}),
            statement_cache_size=100 if prepared else 0,
        )
    except FAILURES as error:
        raise DatabaseRefused(f"{failing}: {error or type(error).__name__}") from error
    try:
        yield connection
    finally:
        await connection.close(timeout=_CLOSE_SECONDS)
