"""One connection to PostgreSQL for a command's work, and whether a pooler answers in the server's place."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg

from labeler_api.db.failures import FAILURES
from labeler_ops.errors import DatabaseError
from labeler_ops.runs import endpoint_name

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_CONNECT_SECONDS = 20.0  # a managed database that sleeps takes up to ten seconds to wake
_CLOSE_SECONDS = 5.0
# What a pooler in front of a server refuses as a parameter of the connection, or takes and does not pass on.
_PROBE = {"lock_timeout": "12345ms", "application_name": "labeler preflight"}


class PoolerAnswers(DatabaseError):
    """A pooler in transaction mode answers, and not the server itself."""


@asynccontextmanager
async def connected(
    url: str,
    failing: str = "the database cannot be reached",
    *,
    settings: Mapping[str, str] | None = None,
    prepared: bool = True,
) -> AsyncIterator[Connection]:
    """Connect, and hang up at the end. Raises DatabaseError with `failing` and what the server says.

    Not `prepared`: no statement is kept, as behind a pooler. What fails inside the block is the caller's.
    """
    try:
        connection = await asyncpg.connect(
            url,
            timeout=_CONNECT_SECONDS,
            server_settings=dict(settings or {}),
            statement_cache_size=100 if prepared else 0,
        )
    except (*FAILURES, ValueError) as error:  # ValueError: a URL that is none
        raise DatabaseError(f"{failing}: {_why(error)}") from error
    try:
        yield connection
    finally:
        await connection.close(timeout=_CLOSE_SECONDS)


@asynccontextmanager
async def connected_directly(side: str, url: str) -> AsyncIterator[Connection]:
    """Connect to a server itself, and hang up at the end. Raises DatabaseError as `connect_directly` does."""
    connection = await connect_directly(side, url)
    try:
        yield connection
    finally:
        await connection.close(timeout=_CLOSE_SECONDS)


async def connect_directly(side: str, url: str) -> Connection:
    """Connect to a server itself. Raises PoolerAnswers, or DatabaseError when it is away; `side` names it."""
    pooler = (
        f"the {side} is reached through a pooler (PgBouncer), which breaks dumps, locks and snapshots: "
        "give the unpooled URL (on Railway: DATABASE_UNPOOLED_URL)"
    )
    try:
        connection = await asyncpg.connect(
            url, server_settings=_PROBE, timeout=_CONNECT_SECONDS, statement_cache_size=0
        )
    except asyncpg.ProtocolViolationError as error:
        if "startup parameter" in str(error):
            raise PoolerAnswers(pooler) from error
        raise DatabaseError(f"the {side}: {error}") from error
    except FAILURES as error:
        raise DatabaseError(f"the {side} at {endpoint_name(url)} cannot be reached: {_why(error)}") from error
    if await connection.fetchval("SHOW lock_timeout") != _PROBE["lock_timeout"]:
        await connection.close(timeout=_CLOSE_SECONDS)
        raise PoolerAnswers(pooler)
    return connection


def _why(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return f"{text}: it speaks no TLS, so leave sslmode=require out" if "rejected SSL upgrade" in text else text
