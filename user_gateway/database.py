"""The connection to the User DB: one pool, and a watcher that knows whether the database is there.

The database may be away when the gateway starts and may come and go while it runs. Calls that arrive meanwhile are
refused at once; a connection of the watcher's own tells when they may go on.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg
import structlog
from asyncpg.connection import LoggedQuery

from service_kit import postgres
from service_kit.postgres import KEEPALIVE, Sounding, watch_silence
from user_gateway import errors
from user_gateway.settings import SettingsError

log = structlog.get_logger(__name__)

_PROBE_SECONDS = 1.0  # absence and return are both noticed well within the promised five seconds
_PROBE_TIMEOUT_SECONDS = 2.0
_CONNECT_SECONDS = 3.0
_RELEASE_SECONDS = 2.0  # for a cancelled statement to end; else its connection is not worth the wait

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
_CHANGED = (asyncpg.UndefinedColumnError, asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Prepare = Callable[[Connection], Awaitable[None]]


class Database:
    """A read-only pool. `prepare` is run on every return of the database: the proof and the reading of the catalog.

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
            **KEEPALIVE,
        }
        self._pool_size = pool_size
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._sounding: Sounding | None = None
        self._releasing: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
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
        return (self._pool.get_size(), self._pool.get_idle_size()) if self._pool is not None else (0, 0)

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
            reset=_keep_session,
            init=self._prepare_connection,
            connection_class=postgres.Connection,
        )
        self._sounding = Sounding(self._pool)
        await self._look()
        self._watcher = asyncio.create_task(self._watch(), name="user-db-watcher")

    async def close(self) -> None:
        """Stop the watcher and close every connection, at once where the server does not answer."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await self._drop_watched()
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), _PROBE_TIMEOUT_SECONDS)
            except (TimeoutError, *_AWAY):
                self._pool.terminate()

    async def fetch(self, sql: str, *args: object, seconds: float) -> list[asyncpg.Record]:
        """Run one statement and return its rows, within `seconds` for connection and statement together.

        Raises Unavailable when the database is away, DeadlineExceeded when the time is over; the statement is then
        cancelled in the database too.
        """
        if self._sounding is None or not self.available:
            raise errors.database_unavailable()
        async with self._translated(), asyncio.timeout(seconds), self._lent(self._sounding, seconds) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(sql, *args)
            return rows

    @contextlib.asynccontextmanager
    async def _lent(self, sounding: Sounding, seconds: float) -> AsyncIterator[Any]:
        """Lend a connection that answers. Whoever leaves does not wait for the end of a cancelled statement."""
        connection = await sounding.take(seconds)
        try:
            yield connection
        except asyncio.CancelledError:
            task = asyncio.create_task(sounding.give_back(connection, _RELEASE_SECONDS), name="connection release")
            self._releasing.add(task)
            task.add_done_callback(self._releasing.discard)
            raise
        except BaseException:
            await sounding.give_back(connection, _RELEASE_SECONDS)
            raise
        connection.note_answer()
        await sounding.give_back(connection, _RELEASE_SECONDS)

    @contextlib.asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except (TimeoutError, asyncpg.QueryCanceledError) as error:
            if self._sounding is not None:
                self._sounding.doubt()
            self._look_now.set()
            raise errors.deadline_exceeded() from error
        except _CHANGED as error:
            log.warning("the catalog of the User DB has changed", sqlstate=error.sqlstate)
            await self._set_available(value=False)
            self._look_now.set()
            raise errors.database_unavailable() from error
        except _AWAY as error:
            if isinstance(error, ValueError):  # asyncpg's complaint about an argument is an InterfaceError too
                raise
            self._look_now.set()
            raise errors.database_unavailable() from error

    async def _prepare_connection(self, connection: Connection) -> None:
        watch_silence(connection)
        if self._on_statement is not None:
            connection.add_query_logger(self._on_statement)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), _PROBE_SECONDS)
            self._look_now.clear()
            try:
                await self._look()
            except Exception as error:
                # A role that could write, say: stay away from it, and look again.
                log.error("the User DB cannot be used", reason=str(error))  # noqa: TRY400 - the text says it all
                await self._set_available(value=False)
                await asyncio.sleep(_PROBE_SECONDS)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
                connection = await self._watched_connection()
                if not self.available:
                    await self._prepare(connection)
                else:
                    await connection.execute("SELECT 1")
        except asyncpg.ClientConfigurationError as error:
            raise SettingsError(f"USER_DB_URL: {error}") from error
        except (TimeoutError, *_AWAY) as error:
            await self._drop_watched()
            await self._set_available(value=False, why=_reason(error))
        else:
            await self._set_available(value=True)

    async def _watched_connection(self) -> Connection:
        if self._watched is None or self._watched.is_closed():
            self._watched = await asyncpg.connect(
                self._url, timeout=_PROBE_TIMEOUT_SECONDS, server_settings=self._settings
            )
            watch_silence(self._watched)
            self._watched.add_termination_listener(lambda _: self._look_now.set())
        return self._watched

    async def _drop_watched(self) -> None:
        connection, self._watched = self._watched, None
        if connection is not None:
            connection.terminate()

    async def _set_available(self, *, value: bool, why: str = "") -> None:
        if value == self.available and why == self._why:
            return
        self._why = why
        if value:
            if self._pool is not None:
                # Connections from before may be dead without knowing it.
                await self._pool.expire_connections()
            self._available.set()
            log.info("the User DB answers")
        else:
            self._available.clear()
            log.warning("the User DB does not answer", why=why)
        for listener in self._on_change:
            await listener(value)


def _reason(error: Exception) -> str:
    """Name an absence for the log; the server's words only where they hold no more than a role or a database name."""
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
        return str(error)
    return type(error).__name__


async def _keep_session(_: object) -> None:
    """Do nothing on release: single SELECTs leave no state behind, and DISCARD would cost a round trip."""
