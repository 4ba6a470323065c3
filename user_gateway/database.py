"""The connection to the User DB: one pool, and a watcher that knows whether the database is there.

The database may be away when the gateway starts and may come and go while it runs. Calls that arrive meanwhile are
refused at once; the watcher has a connection of its own, which shows when calls may go on.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from math import inf
from time import monotonic
from typing import Any, TypeAlias

import asyncpg
import structlog
from asyncpg.connection import LoggedQuery

from service_kit import postgres
from service_kit.postgres import KEEPALIVE, LivenessCheck, end_what_was_left, watch_silence
from service_kit.settings import SettingsError
from user_gateway import errors
from user_gateway.connection_loans import ConnectionLoans
from user_gateway.search_limit import SearchPlaces

log = structlog.get_logger(__name__)

_PROBE_SECONDS = 1.0  # absence and return are both noticed well within the promised five seconds
_PROBE_TIMEOUT_SECONDS = 2.0  # a sign of life on an open connection: one round trip
# To connect, prove the role and read the catalog: some ten round trips, so that half a second each is not too far. A
# User DB of any size takes some ten milliseconds for its own part.
_PREPARE_SECONDS = 10.0
# Grants change while the gateway runs: a new right to write, or a new column, is found within a minute, and what was
# missing within seconds of its return. A reading costs the database some ten milliseconds.
_READ_AGAIN_SECONDS = 60.0
_MISSING_SECONDS = 5.0
_READINGS_APART_SECONDS = 1.0  # whatever calls run into: each asks for a reading, and one serves them all
_CONNECT_SECONDS = 3.0
_RELEASE_SECONDS = 2.0  # for a cancelled statement to end; else its connection is not worth the wait
_RECYCLE_SECONDS = 3600.0  # what a server process gathers over so long is worth a new one

# What asyncpg raises when the server is gone, going, coming, or full.
_AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the driver's word between the server's farewell and the end of the connection
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
# What a changed table raises: the catalog has to be read again.
_CHANGED = (
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedTableError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedFunctionError,  # no operator, no cast: a column has another type than it had
    asyncpg.DatatypeMismatchError,
    asyncpg.CannotCoerceError,
)

_step: ContextVar[str] = ContextVar("_step")
"""What the running task asks of the database at this moment, for the log."""

Rows: TypeAlias = "list[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
NoteStep = Callable[[str], object]
Prepare = Callable[[Connection, NoteStep], Awaitable[bool]]
"""Prove and read; note the step begun, for the log. False: something is missing, and soon to be looked for again."""


def _nothing() -> None:
    """Give nothing back, since nothing was lent."""


class Database:
    """A read-only pool. `prepare` is run on every return of the database: the proof and the reading of the catalog.

    It is run again from time to time, and when a statement finds the catalog changed, while calls go on.

    `on_statement` is told of every statement of a call, with asyncpg's LoggedQuery.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        call_seconds: float,
        prepare: Prepare,
        on_statement: Callable[[LoggedQuery], None] | None = None,
    ) -> None:
        self._url = url
        self._on_statement = on_statement
        self._prepare = prepare
        self._settings = {
            "application_name": "user_gateway",
            "default_transaction_read_only": "on",
            # The net below the clients' own deadlines: no statement outlives the longest call.
            "statement_timeout": str(round(call_seconds * 1000)),
            # A search is the work of one process: several at once would take every core from the look-ups.
            "max_parallel_workers_per_gather": "0",
            # What a search gathers of a quarter of a million matches; more goes to disk, at some 50 bytes a match.
            "work_mem": "16MB",
            **KEEPALIVE,
        }
        self._pool_size = pool_size
        self._call_seconds = call_seconds
        self._searches = SearchPlaces(pool_size)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._liveness: LivenessCheck | None = None
        self._lending: ConnectionLoans | None = None
        self._releasing: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._read_at = -inf
        self._complete = True
        self._watched: Connection | None = None
        self._look_now = asyncio.Event()
        self._available = asyncio.Event()
        self._why = ""
        self._on_change: list[Callable[[bool], Awaitable[None]]] = []

    @property
    def available(self) -> bool:
        """Whether the database answered when the watcher last looked."""
        return self._available.is_set()

    @property
    def size(self) -> tuple[int, int]:
        """(open connections of the pool, idle ones)."""
        if self._pool is None or self._lending is None:
            return 0, 0
        return self._pool.get_size(), self._pool.get_idle_size() + self._lending.kept

    def on_change(self, listener: Callable[[bool], Awaitable[None]]) -> None:
        """Await `listener(available)` whenever the database comes or goes."""
        self._on_change.append(listener)

    async def open(self) -> None:
        """Start the pool and the watcher; look once. An absent database is no error, what `prepare` raises is."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,  # connects on demand: the database may be away now
            max_size=self._pool_size,
            timeout=_CONNECT_SECONDS,
            server_settings=self._settings,
            reset=end_what_was_left,
            init=self._prepare_connection,
            connection_class=postgres.Connection,
        )
        self._liveness = LivenessCheck(self._pool, _RECYCLE_SECONDS)
        self._lending = ConnectionLoans(self._liveness, self._pool_size, release_seconds=_RELEASE_SECONDS)
        await self._look()
        self._watcher = asyncio.create_task(self._watch(), name="user-db-watcher")

    async def close(self) -> None:
        """Stop the watcher and close every connection, at once where the server does not answer."""
        for task in (self._watcher, self._reading):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self._drop_watched()
        if self._pool is not None:
            if self._lending is not None:
                self._lending.throw_away()
            try:
                await asyncio.wait_for(self._pool.close(), _PROBE_TIMEOUT_SECONDS)
            except (TimeoutError, *_AWAY):
                self._pool.terminate()

    async def fetch(self, sql: str, *args: object, seconds: float) -> list[asyncpg.Record]:
        """Run one statement and return its rows, within `seconds` for connection and statement together.

        Raises Unavailable when the database is away, CatalogChanged when it lacks what the statement reads,
        DeadlineExceeded when the time is over; the statement is then cancelled in the database too.
        """
        lending = self._lending
        if lending is None or not self.available:
            raise errors.database_unavailable()
        until = monotonic() + seconds
        try:
            connection = await lending.take(seconds)
            try:
                # The driver's own limit: a timeout of asyncio's costs a look-up more than its statement's plan.
                rows: Rows = await connection.fetch(sql, *args, timeout=until - monotonic())
            except BaseException as error:
                await self._give_back(lending, connection, error)
                raise
        except Exception as error:
            translated = self._translated(error)
            if translated is None:
                raise
            raise translated from error
        connection.note_answer()
        lending.keep(connection)
        return rows

    async def search(self, sql: str, *args: object, caller: str, short: bool, seconds: float) -> list[asyncpg.Record]:
        """Do as `fetch` does, in one of the places for searches. Raises ResourceExhausted when there is none.

        Planned for these very arguments: what is best for a rare name reads every account for a frequent one.
        """
        until = monotonic() + seconds
        leave = await self._searches.take(caller, seconds, short=short)
        lending = self._lending
        if lending is None or not self.available:
            leave()
            raise errors.database_unavailable()
        try:
            async with asyncio.timeout(until - monotonic()):
                try:
                    connection = await lending.take(until - monotonic())
                except BaseException:
                    leave()
                    raise
                try:
                    with self._logged(connection, sql):
                        statement = await connection.prepare(sql, name="")
                        rows: Rows = await statement.fetch(*args)
                except BaseException as error:
                    await self._give_back(lending, connection, error, leave)
                    raise
        except Exception as error:
            translated = self._translated(error)
            if translated is None:
                raise
            raise translated from error
        leave()
        connection.note_answer()
        lending.keep(connection)
        return rows

    @contextlib.contextmanager
    def _logged(self, connection: Any, sql: str) -> Iterator[None]:
        """Tell `on_statement` of a statement that asyncpg keeps for itself: one that was prepared by hand."""
        started, failure = monotonic(), None
        try:
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            if self._on_statement is not None:
                parameters = connection._params
                self._on_statement(
                    LoggedQuery(sql, (), None, monotonic() - started, failure, connection._addr, parameters)
                )

    async def _give_back(
        self, lending: ConnectionLoans, connection: Any, error: BaseException, ended: Callable[[], object] = _nothing
    ) -> None:
        """Give a connection back after a failure. `ended` is called when its statement has ended."""
        giving = self._given_back(lending, connection, ended)
        if not isinstance(error, asyncio.CancelledError | TimeoutError):
            await giving
            return
        # A caller that leaves does not wait for the end of a cancelled statement.
        task = asyncio.create_task(giving, name="connection release")
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def _given_back(self, lending: ConnectionLoans, connection: Any, ended: Callable[[], object]) -> None:
        if await lending.give_back(connection):
            ended()
        else:  # the server ends it by itself, at the latest when its time is over
            asyncio.get_running_loop().call_later(self._call_seconds, ended)

    def _translated(self, error: Exception) -> Exception | None:
        """Say in the gateway's words what the driver raised; None for what is no matter of the database."""
        if isinstance(error, TimeoutError | asyncpg.QueryCanceledError):
            if self._liveness is not None:
                self._liveness.suspect_all()
            self._look_now.set()
            return errors.deadline_exceeded()
        if isinstance(error, _CHANGED):
            log.warning("the catalog of the User DB has changed", sqlstate=error.sqlstate)
            return errors.CatalogChanged()
        if isinstance(error, _AWAY) and not isinstance(error, ValueError):  # asyncpg's complaint about an argument
            self._look_now.set()
            return errors.database_unavailable()
        return None

    async def _prepare_connection(self, connection: Connection) -> None:
        watch_silence(connection)
        if self._on_statement is not None:
            connection.add_query_logger(self._on_statement)

    async def read_again(self) -> None:
        """Prove the role and read the catalog again, while calls go on. Callers meanwhile wait for the same reading."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_again(), name="catalog reading")
        await asyncio.shield(self._reading)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), _PROBE_SECONDS)
            self._look_now.clear()
            if self._lending is not None:
                await self._lending.let_go()
            try:
                await self._look()
            except Exception as error:
                await self._keep_away(error)
                await asyncio.sleep(_PROBE_SECONDS)
            apart = _READ_AGAIN_SECONDS if self._complete else _MISSING_SECONDS
            if self.available and monotonic() - self._read_at > apart and (not self._reading or self._reading.done()):
                self._reading = asyncio.create_task(self._read_again(), name="catalog reading")

    async def _look(self) -> None:
        _step.set("waiting for a sign of life")
        try:
            if self.available:
                async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
                    await (await self._watched_connection()).execute("SELECT 1")
            else:
                async with asyncio.timeout(_PREPARE_SECONDS):
                    await self._prepare_on(await self._watched_connection())
        except asyncpg.ClientConfigurationError as error:
            raise SettingsError(f"USER_DB_URL: {error}") from error
        except (TimeoutError, *_AWAY) as error:
            await self._drop_watched()
            await self._set_available(value=False, why=_reason(error, _step.get()))
        else:
            await self._set_available(value=True)

    async def _read_again(self) -> None:
        await asyncio.sleep(self._read_at + _READINGS_APART_SECONDS - monotonic())
        try:
            async with asyncio.timeout(_PREPARE_SECONDS):
                connection = await self._connect()
                try:
                    await self._prepare_on(connection)
                finally:
                    with contextlib.suppress(TimeoutError, *_AWAY):
                        await connection.close(timeout=_RELEASE_SECONDS)
        except (TimeoutError, *_AWAY) as error:  # whether the database is there, the watcher knows
            self._read_at = monotonic()
            log.warning("the User DB could not be read anew", why=_reason(error, _step.get()))
        except Exception as error:
            await self._keep_away(error)

    async def _prepare_on(self, connection: Connection) -> None:
        self._complete = await self._prepare(connection, _step.set)
        self._read_at = monotonic()

    async def _keep_away(self, error: Exception) -> None:
        """A role that could write, say: stay away from it; the watcher looks again."""
        log.error("the User DB cannot be used", reason=str(error))
        await self._set_available(value=False, why=type(error).__name__)

    async def _watched_connection(self) -> Connection:
        if self._watched is None or self._watched.is_closed():
            self._watched = await self._connect()
            self._watched.add_termination_listener(lambda _: self._look_now.set())
        return self._watched

    async def _connect(self) -> Connection:
        _step.set("connecting")
        connection = await asyncpg.connect(self._url, timeout=_PREPARE_SECONDS, server_settings=self._settings)
        watch_silence(connection)
        return connection

    async def _drop_watched(self) -> None:
        connection, self._watched = self._watched, None
        if connection is not None:
            connection.terminate()

    async def _set_available(self, *, value: bool, why: str = "") -> None:
        if value == self.available and why == self._why:
            return
        self._why = why
        if value:
            if self._pool is not None and self._lending is not None:
                # Connections from before may be dead without knowing it.
                await self._pool.expire_connections()
                self._lending.throw_away()
            self._available.set()
            log.info("the User DB answers")
        else:
            self._available.clear()
            log.warning("the User DB does not answer", why=why)
        for listener in self._on_change:
            await listener(value)


def _reason(error: Exception, step: str) -> str:
    """Name an absence for the log; the server's words only where they hold no more than a role or a database name."""
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
        return str(error)
    return f"{type(error).__name__} while {step}"
