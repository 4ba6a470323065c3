"""One side of a comparison: a snapshot of a database, read by several connections."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg

from labeler_api.db.failures import FAILURES
from labeler_ops.connecting import Connection
from labeler_ops.errors import DatabaseError

Row = asyncpg.Record
T = TypeVar("T")

# What turns values into text must be alike on both sides, whatever their configuration says.
SETTINGS: Mapping[str, str] = {
    "application_name": "labeler verify",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",  # the shortest text that gives the same float back
    "bytea_output": "hex",
    "lc_monetary": "C",
    "search_path": "",  # every name but pg_catalog's is written with its schema, also by pg_get_constraintdef
    "statement_timeout": "0",  # a checksum of a large table takes as long as it takes
    "idle_in_transaction_session_timeout": "0",
    "max_parallel_workers_per_gather": "0",  # the ranges are the parallelism; workers on top would only wait
    "jit": "off",
}


@dataclass
class Side:
    """A database as of one moment. `name` is what reports call it."""

    name: str
    version: int
    _idle: asyncio.Queue[Connection]

    async def fetch(self, sql: str, *args: object) -> Sequence[Row]:
        """Return every row, on whichever connection is idle."""
        rows: list[Row] = await self._run(lambda connection: connection.fetch(sql, *args))
        return rows

    async def fetchrow(self, sql: str, *args: object) -> Row:
        """Return the one row of an aggregate."""
        row: Row | None = await self._run(lambda connection: connection.fetchrow(sql, *args))
        assert row is not None  # noqa: S101 - aggregates without GROUP BY have one
        return row

    async def fetchval(self, sql: str, *args: object) -> Any:
        """Return the first column of the first row."""
        return await self._run(lambda connection: connection.fetchval(sql, *args))

    async def _run(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        connection = await self._idle.get()
        try:
            return await work(connection)
        finally:
            self._idle.put_nowait(connection)


@asynccontextmanager
async def opened(name: str, dsn: str, connections: int, as_of: str | None = None) -> AsyncIterator[Side]:
    """Open a side with several connections on one snapshot, an exported one if given.

    Raises DatabaseError when it cannot be read.
    """
    async with AsyncExitStack() as stack:
        try:
            first = await _connection(stack, dsn, as_of)
            snapshot = as_of or await first.fetchval("SELECT pg_export_snapshot()")
            pool: asyncio.Queue[Connection] = asyncio.Queue()
            pool.put_nowait(first)
            for _ in range(connections - 1):
                pool.put_nowait(await _connection(stack, dsn, snapshot))
        except FAILURES as error:
            raise DatabaseError(f"the {name} cannot be read: {error}") from error
        yield Side(name, first.get_server_version().major, pool)


async def _connection(stack: AsyncExitStack, dsn: str, snapshot: str | None = None) -> Connection:
    # A server that answers, but not within this time, is a network problem that the person should hear of.
    connection = await asyncpg.connect(dsn, server_settings=dict(SETTINGS), timeout=20, statement_cache_size=0)
    stack.push_async_callback(connection.close, timeout=5)
    await stack.enter_async_context(connection.transaction(isolation="repeatable_read", readonly=True))
    if snapshot is not None:
        await connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
    return connection
