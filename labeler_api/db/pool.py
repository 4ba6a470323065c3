"""The one asyncpg pool of the process, behind three kinds of connection.

`begin()` is a write transaction, `read()` one or more statements without BEGIN, `snapshot()` a
READ ONLY REPEATABLE READ transaction for exports and reports. Three types, so that a write through
a read is a type error and not a review remark.

Everything that waits for the server has a limit: connecting, BEGIN, statements, COMMIT and ROLLBACK, and all of them
together where a request has one. `admission` decides who may hold how many connections.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from math import inf
from time import monotonic
from typing import Any, Self

import asyncpg

from labeler_api.db.admission import ConnectionPurpose, Permit
from labeler_api.db.connection import PLANNED_ONCE, at_the_start, begin
from labeler_api.db.connection_checkout import Caller, Lender, PoolOptions
from labeler_api.db.errors import raise_translated, translated
from labeler_api.errors import RetryInQueue
from labeler_api.telemetry.instruments import Instruments
from service_kit.postgres import Connection, watch_silence

__all__ = ["Caller", "Database", "PoolOptions", "ReadConnection", "Row", "Snapshot", "WriteTransaction"]

Row = Mapping[str, Any]

# A server that answers ends a request's statement earlier (connection.STATEMENT_SECONDS).
_STATEMENT_SECONDS = 30.0
_LONG_SECONDS = 600.0  # an export or a deletion of a million annotations is one statement, and takes some two minutes
_CONNECT_SECONDS = 10.0

# Long work waits longer for its turn in a project, and an import reads its file between two statements.
_OF_LONG_WORK = {
    "statement_timeout": f"{_LONG_SECONDS:g}s",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "60s",
}
# Nobody waits for a snapshot, and its reader may wait for a slow store between two rows.
_OF_A_SNAPSHOT = {
    "statement_timeout": f"{_LONG_SECONDS:g}s",
    "idle_in_transaction_session_timeout": f"{_LONG_SECONDS:g}s",
}

# Rows a round trip. A polygon may have 10 000 points, and a hundred of the largest are some 20 MB.
_PREFETCH = 100
# Larger than such a polygon. What was stored before there was a bound may have many megabytes, and a hundred of those
# must not come at once.
_USUAL_BYTES = 256 * 1024
# OFFSET 0 keeps the planner from making each text twice. The order of the rows is that of the statement within.
_USUAL_TEXTS = f"""
    SELECT CASE WHEN octet_length(value) <= {_USUAL_BYTES} THEN value END AS value FROM ({{}} OFFSET 0) AS texts (value)
"""  # noqa: S608 - a number of ours
_LARGE_TEXTS = f"""
    SELECT value FROM ({{}} OFFSET 0) AS texts (value) WHERE octet_length(value) > {_USUAL_BYTES}
"""  # noqa: S608 - a number of ours


class Openings:
    """The messages that open transactions. A read needs none, unless its limits have to be sent with it."""

    __slots__ = ("long", "planned_once", "read", "single", "snapshot", "write")

    def __init__(self, *, pooled: bool) -> None:
        self.write = begin(pooled=pooled)
        # Behind a transaction pooler each execution prepares its statement again: there is no plan to keep.
        self.planned_once = self.write if pooled else begin(pooled=False, **PLANNED_ONCE)
        self.long = begin(pooled=pooled, **_OF_LONG_WORK)
        self.snapshot = begin("ISOLATION LEVEL REPEATABLE READ READ ONLY", pooled=pooled, **_OF_A_SNAPSHOT)
        self.read = self.single = begin(pooled=True) if pooled else ""

    def of(self, *, long: bool, planned_once: bool) -> str:
        """Choose the message of a write transaction."""
        if long:
            return self.long
        return self.planned_once if planned_once else self.write


class StatementCount:
    """How many statements a request has sent, for the access log; what surrounds it (a test's budget) counts along."""

    __slots__ = ("_outer", "value")

    def __init__(self, outer: "StatementCount | None" = None) -> None:
        self._outer = outer
        self.value = 0

    def add(self, number: int) -> None:
        """Add to the count."""
        self.value += number
        if self._outer is not None:
            self._outer.add(number)


statements: ContextVar[StatementCount | None] = ContextVar("statements", default=None)


def _count() -> None:
    counter = statements.get()
    if counter is not None:
        counter.add(1)


class ReadConnection:
    """Statements that return rows. Each has `seconds`, and none goes on past `deadline` (of `time.monotonic`)."""

    __slots__ = ("_connection", "_deadline", "_seconds")

    def __init__(self, connection: Any, seconds: float = _STATEMENT_SECONDS, deadline: float = inf) -> None:
        self._connection = connection
        self._seconds = seconds
        self._deadline = deadline

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        """Return every row."""
        _count()
        connection = self._connection or await self._open()
        async with self._limit():
            rows: list[Row] = await connection.fetch(sql, *args)
        return rows

    async def fetchrow(self, sql: str, *args: object) -> Row | None:
        """Return the first row, or None."""
        _count()
        connection = self._connection or await self._open()
        async with self._limit():
            row: Row | None = await connection.fetchrow(sql, *args)
        return row

    async def fetchval(self, sql: str, *args: object) -> Any:
        """Return the first column of the first row, or None."""
        _count()
        connection = self._connection or await self._open()
        async with self._limit():
            return await connection.fetchval(sql, *args)

    async def _open(self) -> Any:
        raise NotImplementedError

    def _limit(self) -> asyncio.Timeout:
        # Not the driver's own limit, which does not hold for all that the driver does on the way: closing statements
        # that it remembers no longer has none.
        return asyncio.timeout(min(self._seconds, self._deadline - monotonic()))


class Snapshot(ReadConnection):
    """One unchanging view of the database, with cursors for what does not fit in memory."""

    __slots__ = ()

    async def texts(self, sql: str, *args: object) -> AsyncIterator[str]:
        """Yield the texts that `sql` selects, its only column; memory stays flat whatever they hold.

        Usual ones come a hundred a round trip. Of a large one the server sends NULL in its place. It comes by a second
        cursor over the same rows, alone; that one is opened when the first large one is met.
        """
        large: AsyncIterator[Row] | None = None
        async for row in self.cursor(_USUAL_TEXTS.format(sql), *args):
            if row["value"] is not None:
                yield row["value"]
                continue
            large = large or self.cursor(_LARGE_TEXTS.format(sql), *args, prefetch=1)
            yield (await anext(large))["value"]

    async def cursor(self, sql: str, *args: object, prefetch: int = _PREFETCH) -> AsyncIterator[Row]:
        """Yield rows, `prefetch` a round trip: for rows that are short by their columns. Others are for `texts`."""
        _count()
        async for row in self._connection.cursor(sql, *args, prefetch=prefetch, timeout=self._seconds):
            yield row


class LentConnection(ReadConnection):
    """Takes a connection of the pool, for its first statement at the latest, and gives it back when its block ends.

    `opening` is sent before the first statement; then COMMIT ends the block, or ROLLBACK where it raises.
    """

    __slots__ = ("_caller", "_lender", "_opening", "_pass", "_project", "_work")
    _writes = False

    def __init__(self, lender: Lender, caller: Caller, opening: str, work: ConnectionPurpose, seconds: float) -> None:
        super().__init__(None, seconds, caller.deadline)
        self._lender = lender
        self._caller = caller
        self._opening = opening
        self._work = work
        self._project = caller.project
        self._pass: Permit | None = None

    async def __aenter__(self) -> Self:
        """Begin the block."""
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """End it: commit, or roll back. Raises what the driver's errors mean."""
        if error is None:
            try:
                await self.commit()
            except BaseException as failure:
                await self._end(failure)
                raise_translated(failure, writes=self._writes)
                raise
            await self._end()
            return
        await self._end(error)
        raise_translated(error, writes=self._writes)

    async def commit(self) -> None:
        """Commit what was done, if anything was."""
        if self._connection is None or not self._opening:
            return
        async with self._limit():
            status: str = await self._connection.execute("COMMIT")
        # Somebody caught the error of a statement and went on: nothing of it is kept.
        if status != "COMMIT" and self._writes:
            raise RuntimeError("a transaction was to be committed of which a statement had failed")

    async def _end(self, error: BaseException | None = None) -> None:
        """Give the connection back; what is not committed is rolled back."""
        if self._pass is not None:
            await self._lender.take_back(self._connection, self._pass, error)

    async def _open(self) -> Any:
        caller = self._caller
        if self._project != caller.project:
            caller = Caller(caller.person, self._project, caller.patience, caller.deadline)
        lent = self._lender.lend_at_once(self._work, caller) or await self._lender.lend(self._work, caller)
        self._connection, self._pass = lent
        if self._opening:
            async with self._limit():
                await self._connection.execute(self._opening)
        return self._connection


class Reading(LentConnection):
    """Statements that return rows; the connection is taken at once."""

    __slots__ = ()

    def __init__(self, lender: Lender, caller: Caller, opening: str) -> None:
        super().__init__(lender, caller, opening, ConnectionPurpose.READ, _STATEMENT_SECONDS)

    async def __aenter__(self) -> Self:
        """Take the connection."""
        try:
            await self._open()
        except BaseException as error:
            await self.__aexit__(None, error, None)
            raise
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Give the connection back; most of them need nothing else."""
        if error is not None or self._opening or not self._taken_back_at_once():
            await super().__aexit__(kind, error, trace)

    def _taken_back_at_once(self) -> bool:
        return self._pass is not None and self._lender.take_back_at_once(self._connection, self._pass)


class WriteTransaction(LentConnection):
    """Statements that change rows; all of them or none. The first one takes the connection, and begins."""

    __slots__ = ()
    _writes = True

    def __init__(self, lender: Lender, caller: Caller, opening: str, *, long: bool) -> None:
        seconds = _LONG_SECONDS if long else _STATEMENT_SECONDS
        super().__init__(lender, caller, opening, ConnectionPurpose.LONG if long else ConnectionPurpose.WRITE, seconds)

    async def execute(self, sql: str, *args: object) -> int:
        """Run a statement; return the number of rows that it touched."""
        _count()
        connection = self._connection or await self._open()
        async with self._limit():
            status: str = await connection.execute(sql, *args)
        last = status.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0

    async def executemany(self, sql: str, args: Iterable[tuple[object, ...]]) -> None:
        """Run one statement over many rows in one round trip."""
        _count()
        connection = self._connection or await self._open()
        async with self._limit():
            await connection.executemany(sql, args)

    async def copy(self, table: str, columns: Sequence[str], rows: bytes) -> None:
        """Copy rows into a table: lines in PostgreSQL's text form, a part of a file that is short enough for memory."""
        _count()
        connection = self._connection or await self._open()
        async with self._limit():
            await connection.copy_to_table(table, columns=list(columns), source=_once(rows), format="text")

    def queue_for_project(self, reference: str) -> None:
        """Say which project (by its id or its dataset's) the next statement may have to wait for.

        Before the first statement the transaction waits for a place among the project's writers without a connection.
        Later it takes one that is free, or raises RetryInQueue: the next try will know where to wait.
        """
        if self._connection is None:
            self._project = reference
        elif self._pass is not None and not self._lender.admission.join(self._pass, reference):
            raise RetryInQueue(reference)

    def alias_dataset(self, dataset_id: str, project_id: str) -> None:
        """Note that both ids are one project, for callers that queue for it."""
        self._lender.admission.alias_dataset(dataset_id, project_id)


class SingleStatement(WriteTransaction):
    """A transaction of one statement, which needs neither BEGIN nor COMMIT: one round trip (behind a pooler three)."""

    __slots__ = ("_begun",)

    def __init__(self, lender: Lender, caller: Caller, opening: str) -> None:
        super().__init__(lender, caller, opening, long=False)
        self._begun = False

    async def fetchrow(self, sql: str, *args: object) -> Row | None:
        """Run the statement, and return its first row, or None."""
        if self._begun:
            raise RuntimeError("a second statement in a transaction of one")
        self._begun = True
        return await super().fetchrow(sql, *args)


class Database:
    """The Labeler DB. Made once a process, in the lifespan of the application; `of` is it as one caller may use it."""

    __slots__ = ("_caller", "_lender", "_openings")

    def __init__(self, lender: Lender, caller: Caller, openings: Openings) -> None:
        self._lender = lender
        self._caller = caller
        self._openings = openings

    @classmethod
    async def connect(
        cls, dsn: str, options: PoolOptions | None = None, instruments: Instruments | None = None
    ) -> Self:
        """Make the pool. Connections are opened when they are needed, so an absent server does not stop the start."""
        options, instruments = options or PoolOptions(), instruments or Instruments()
        # Behind PgBouncer in transaction mode named statements vanish, and a session's settings are another session's.
        pooled = not options.statement_cache
        pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=options.max_size,
            max_inactive_connection_lifetime=options.recycle_seconds,
            connection_class=Connection,
            init=traced(instruments),
            # Nothing here changes a session's state, so the reset query would be a round trip for nothing.
            reset=_keep_session,
            statement_cache_size=0 if pooled else 256,
            timeout=min(options.acquire_seconds, _CONNECT_SECONDS),
            server_settings=at_the_start(pooled=pooled),
        )
        await pool
        lender = Lender(pool, options, instruments)
        await lender.warm()
        return cls(lender, Caller(), Openings(pooled=pooled))

    def of(self, caller: Caller) -> "Database":
        """The same pool, for one caller."""
        return Database(self._lender, caller, self._openings)

    def read(self) -> AbstractAsyncContextManager[ReadConnection]:
        """Lend a connection for reading, without BEGIN (behind a transaction pooler with it, for the limits)."""
        return Reading(self._lender, self._caller, self._openings.read)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Open a READ ONLY REPEATABLE READ transaction. It is long work."""
        with translated():
            async with self._lender.lent(ConnectionPurpose.LONG, self._caller) as connection:
                await _said(connection, self._openings.snapshot)
                yield Snapshot(connection, _LONG_SECONDS)
                await _said(connection, "COMMIT")

    def begin(self, *, long: bool = False, planned_once: bool = False) -> WriteTransaction:
        """Open a write transaction; committed when the block ends, rolled back when it raises.

        `long` is for the rare one that writes or copies a whole project, `planned_once` for what people do all the
        time to the few rows of one image (see `connection.PLANNED_ONCE`).
        """
        opening = self._openings.of(long=long, planned_once=planned_once)
        return WriteTransaction(self._lender, self._caller, opening, long=long)

    def single(self) -> SingleStatement:
        """Open a write transaction for one statement: a function that writes all there is to write."""
        return SingleStatement(self._lender, self._caller, self._openings.single)

    async def ping(self) -> None:
        """Raise Unavailable unless the server answers. Has a connection of its own, which no other work takes."""
        _count()
        await self._lender.ping()

    async def close(self) -> None:
        """Close every connection; those at work are waited for, 5 seconds at most."""
        await self._lender.close()

    @property
    def size(self) -> tuple[int, int]:
        """(open connections, idle ones)."""
        return self._lender.size


def traced(instruments: Instruments) -> Any:
    """What a pool does with every new connection: watch its silence, and trace its statements where that is on."""

    async def prepare(connection: Any) -> None:
        watch_silence(connection)
        if instruments.tracing.on:
            connection.add_query_logger(instruments.tracing.statement_ended)

    return prepare


async def _once(part: bytes) -> AsyncIterator[bytes]:
    yield part


async def _said(connection: Any, sql: str) -> None:
    async with asyncio.timeout(_STATEMENT_SECONDS):
        await connection.execute(sql)


async def _keep_session(_connection: object) -> None:
    """Reset nothing: a connection that is given back has ended its transaction."""
