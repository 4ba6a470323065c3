"""The one asyncpg pool of the process, behind three kinds of connection.

`begin()` is a write transaction, `read()` one or more statements without BEGIN, `snapshot()` a
READ ONLY REPEATABLE READ transaction for exports and reports. Three types, so that a write through
a read is a type error and not a review remark.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any, Self

import asyncpg

from labeler_api.db.errors import translated
from labeler_api.db.failures import FAILURES
from labeler_api.errors import Unavailable
from labeler_api.instruments import Instruments

Row = Mapping[str, Any]

_STATEMENT_SECONDS = 30.0  # no statement of a request takes this long; a stuck one must not hold its connection
# Between two statements of a write nothing is waited for. A process that is frozen there, or whose machine vanished
# without a word, must not keep a project locked until TCP gives it up, which takes hours.
_IDLE_SECONDS = 15
_SNAPSHOT_SECONDS = 1800.0  # an export of a million annotations is one statement


class StatementCount:
    """How many statements a request has sent, for the access log; what surrounds it (a test's budget) counts along."""

    __slots__ = ("_outer", "value")

    def __init__(self, outer: "StatementCount | None" = None) -> None:
        self._outer = outer
        self.value = 0

    def add(self, number: int) -> None:
        """Count so many more."""
        self.value += number
        if self._outer is not None:
            self._outer.add(number)


statements: ContextVar[StatementCount | None] = ContextVar("statements", default=None)


def _count() -> None:
    counter = statements.get()
    if counter is not None:
        counter.add(1)


class ReadConnection:
    """Statements that return rows."""

    __slots__ = ("_connection", "_timeout")

    def __init__(self, connection: Any, timeout: float = _STATEMENT_SECONDS) -> None:
        self._connection = connection
        self._timeout = timeout

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        """Return every row."""
        _count()
        rows: list[Row] = await self._connection.fetch(sql, *args, timeout=self._timeout)
        return rows

    async def fetchrow(self, sql: str, *args: object) -> Row | None:
        """Return the first row, or None."""
        _count()
        row: Row | None = await self._connection.fetchrow(sql, *args, timeout=self._timeout)
        return row

    async def fetchval(self, sql: str, *args: object) -> Any:
        """Return the first column of the first row, or None."""
        _count()
        return await self._connection.fetchval(sql, *args, timeout=self._timeout)


class Snapshot(ReadConnection):
    """One unchanging view of the database, with cursors for what does not fit in memory."""

    __slots__ = ()

    async def cursor(self, sql: str, *args: object, prefetch: int = 500) -> AsyncIterator[Row]:
        """Yield rows, `prefetch` a round trip."""
        _count()
        async for row in self._connection.cursor(sql, *args, prefetch=prefetch, timeout=self._timeout):
            yield row


class WriteTransaction(ReadConnection):
    """Statements that change rows; all of them or none."""

    __slots__ = ()

    async def execute(self, sql: str, *args: object) -> int:
        """Run a statement; return the number of rows that it touched."""
        _count()
        status: str = await self._connection.execute(sql, *args, timeout=self._timeout)
        last = status.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0

    async def executemany(self, sql: str, args: Iterable[tuple[object, ...]]) -> None:
        """Run one statement over many rows in one round trip."""
        _count()
        await self._connection.executemany(sql, args, timeout=self._timeout)


class _Connection(asyncpg.Connection):
    """A connection that knows its age, which asyncpg's pool does not."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.born_at = monotonic()


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """Sizes in connections, times in seconds; the meaning of DB_POOL_* (docs/architecture.md has the sum)."""

    min_size: int = 5
    max_size: int = 15
    acquire_seconds: float = 30.0
    recycle_seconds: float = 3600.0
    statement_cache: bool = True


class Database:
    """The Labeler DB. Made once a process, in the lifespan of the application."""

    def __init__(self, pool: Any, options: PoolOptions, instruments: Instruments) -> None:
        self._pool = pool
        self._options = options
        self._metrics = instruments.metrics
        self._acquire_seconds = instruments.metrics.acquire_seconds.labels("labeler")
        self._waiting = 0
        instruments.metrics.watch(self._show)

    @classmethod
    async def connect(
        cls, dsn: str, options: PoolOptions | None = None, instruments: Instruments | None = None
    ) -> Self:
        """Make the pool. Connections are opened when they are needed, so an absent server does not stop the start."""
        options, instruments = options or PoolOptions(), instruments or Instruments()
        pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=options.max_size,
            max_inactive_connection_lifetime=options.recycle_seconds,
            connection_class=_Connection,
            init=traced(instruments),
            # Nothing here changes a session's state, so the reset query would be a round trip for nothing.
            reset=_keep_session,
            # 0 behind PgBouncer in transaction mode, where named statements vanish.
            statement_cache_size=256 if options.statement_cache else 0,
            timeout=min(options.acquire_seconds, 10.0),
            server_settings={
                "application_name": "labeler_api",
                "TimeZone": "UTC",
                "jit": "off",
                "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
            },
        )
        await pool
        database = cls(pool, options, instruments)
        await database._warm()
        return database

    async def _warm(self) -> None:
        """Open the pool's minimal size at once, where the server is there."""
        try:
            async with asyncio.timeout(5):
                held = await asyncio.gather(*(self._pool.acquire() for _ in range(self._options.min_size)))
        except FAILURES:
            return
        for connection in held:
            await self._pool.release(connection)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadConnection]:
        """Lend a connection for reading, without BEGIN."""
        async with self._acquired() as connection:
            yield ReadConnection(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Open a READ ONLY REPEATABLE READ transaction."""
        async with self._acquired() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            # Nobody waits for a snapshot, and its reader may wait for a slow store between two rows.
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield Snapshot(connection, _SNAPSHOT_SECONDS)

    @asynccontextmanager
    async def begin(self, *, statement_seconds: float = _STATEMENT_SECONDS) -> AsyncIterator[WriteTransaction]:
        """Open a write transaction; committed when the block ends, rolled back when it raises.

        `statement_seconds` is for the rare statement that copies a whole project.
        """
        async with self._acquired() as connection, connection.transaction():
            yield WriteTransaction(connection, statement_seconds)

    async def close(self) -> None:
        """Close every connection; those at work are waited for, 5 seconds at most."""
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @property
    def size(self) -> tuple[int, int]:
        """(open connections, idle ones)."""
        return self._pool.get_size(), self._pool.get_idle_size()

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Any]:
        with translated():
            connection = await self._acquire()
            try:
                yield connection
            finally:
                await self._pool.release(connection)

    async def _acquire(self) -> Any:
        connection = await self._acquire_timed()
        if monotonic() - connection.born_at > self._options.recycle_seconds:
            await connection.close(timeout=5)
            await self._pool.release(connection)
            connection = await self._pool.acquire(timeout=self._options.acquire_seconds)
        return connection

    async def _acquire_timed(self) -> Any:
        started = perf_counter()
        self._waiting += 1
        try:
            connection = await self._pool.acquire(timeout=self._options.acquire_seconds)
        except Exception as error:
            self._metrics.acquire_failures.labels("labeler").inc()
            if isinstance(error, TimeoutError):
                raise Unavailable(
                    "The database has no free connection. Try again shortly.", code="database_busy", retry_after=2
                ) from None
            raise
        finally:
            self._waiting -= 1
        self._acquire_seconds.observe(perf_counter() - started)
        return connection

    def _show(self) -> None:
        size, idle = self.size
        self._metrics.connections.labels("labeler", "idle").set(idle)
        self._metrics.connections.labels("labeler", "used").set(size - idle)
        self._metrics.connections.labels("labeler", "max").set(self._options.max_size)
        self._metrics.waiting.labels("labeler").set(self._waiting)


def traced(instruments: Instruments) -> Any:
    """What a pool does with every new connection: nothing, or have its statements traced."""
    if not instruments.tracing.on:
        return None

    async def prepare(connection: Any) -> None:
        connection.add_query_logger(instruments.tracing.statement_ended)

    return prepare


async def _keep_session(_connection: object) -> None:
    """Reset nothing; asyncpg itself has rolled an open transaction back before it calls this."""
