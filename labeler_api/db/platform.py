"""The Platform DB: organizations and workspaces, read-only, and never needed for anything else.

It may be missing, away, hanging or opened with a role that could write: then reads raise Unavailable
(`platform_unavailable`), at once while it was so a moment ago, and the rest of the service does not notice.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import asyncpg
import structlog

from labeler_api.db.failures import FAILURES
from labeler_api.db.pool import ReadConnection, traced
from labeler_api.db.read_only_role import prove
from labeler_api.errors import AppError, Unavailable
from labeler_api.resilience.circuit_breaker import CircuitBreaker
from labeler_api.telemetry.instruments import Instruments
from service_kit.postgres import KEEPALIVE, Connection, end_what_was_left, note_failure
from service_kit.role_privileges import RoleCanWrite

log = structlog.get_logger("labeler_api.platform")

_CALL_SECONDS = 2.0  # for connection and statement together; the rows are few, a good answer takes milliseconds
_OPEN_SECONDS = 5.0  # after a failure it is left alone so long: nobody waits for what did not answer a moment ago
_MOST_CONNECTIONS = 3  # organizations are read seldom, and remembered
_IDLE_SECONDS = 300.0
_RETRY_AFTER_SECONDS = 5
_NAME = "platform"  # label of the metrics

# All that the driver raises: a table that is missing or not granted there is no defect of the request either.


class PlatformDatabase:
    """Reads of the Platform DB. Made once a process; without a URL every read says that there is none."""

    def __init__(self, pool: Any, instruments: Instruments) -> None:
        self._pool = pool
        self._metrics = instruments.metrics
        self._breaker = CircuitBreaker(failures=1, open_seconds=_OPEN_SECONDS)
        self._why = ""
        instruments.metrics.watch(self._show)

    @classmethod
    async def connect(cls, dsn: str, *, allow_writable: bool = False, instruments: Instruments | None = None) -> Self:
        """Make the pool; connections are opened, and their role is proven to be read-only, when they are needed."""
        instruments = instruments or Instruments()
        if not dsn:
            return cls(None, instruments)
        watch_statements = traced(instruments)

        async def prepare(connection: Any) -> None:
            if not allow_writable:
                await prove(connection)
            await watch_statements(connection)

        pool = await asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=_MOST_CONNECTIONS,
            max_inactive_connection_lifetime=_IDLE_SECONDS,
            init=prepare,
            connection_class=Connection,
            reset=end_what_was_left,
            timeout=_CALL_SECONDS,
            server_settings={
                "application_name": "labeler_api",
                "TimeZone": "UTC",
                "default_transaction_read_only": "on",
                "statement_timeout": str(round(_CALL_SECONDS * 1000)),
                **KEEPALIVE,
            },
        )
        if allow_writable:
            log.warning("PLATFORM_DB_ALLOW_WRITABLE: the role of the Platform DB is not checked")
        return cls(pool, instruments)

    @property
    def configured(self) -> bool:
        """Whether there is one at all."""
        return self._pool is not None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadConnection]:
        """Lend a connection, for two seconds. Raises Unavailable, within that time or at once."""
        if self._pool is None:
            raise _unavailable("No Platform DB is configured here (PLATFORM_DB_URL).")
        # While it is away one call tries, and the others need not wait for what comes of it.
        if not self._breaker.admits(_OPEN_SECONDS):
            raise _unavailable()
        async with self._lent() as connection:
            yield connection

    async def ping(self) -> None:
        """Raise Unavailable unless it answers now, whatever it did before."""
        self._breaker.half_open()
        async with self.read() as connection:
            await connection.fetchval("SELECT 1")

    async def close(self) -> None:
        """Close every connection."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[ReadConnection]:
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                # The time of acquire also bounds the wait for a cancelled statement's end, on release.
                async with self._pool.acquire(timeout=_CALL_SECONDS) as connection:
                    try:
                        yield ReadConnection(connection, _CALL_SECONDS)
                    except BaseException:
                        note_failure(connection)
                        raise
        except AppError:
            raise
        except RoleCanWrite as error:
            self._failed(
                "the role of PLATFORM_DB_URL could write: use a role with SELECT only (`labeler db roles platform` "
                "prints the grants), or set PLATFORM_DB_ALLOW_WRITABLE=1 in development",
                found=str(error),
            )
            raise _unavailable("Platform data is not read: the role of PLATFORM_DB_URL could write.") from error
        except FAILURES as error:
            self._failed(type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
            raise _unavailable() from error
        if self._why:
            log.info("the Platform DB answers")
        self._why = ""
        self._breaker.answered()

    def _failed(self, why: str, **facts: str | None) -> None:
        self._metrics.acquire_failures.labels(_NAME).inc()
        if why != self._why:  # said once, not every five seconds
            log.error("the Platform DB cannot be used", why=why, **facts)
        self._why = why
        self._breaker.failed()

    def _show(self) -> None:
        if self._pool is None:
            return
        size, idle = self._pool.get_size(), self._pool.get_idle_size()
        self._metrics.connections.labels(_NAME, "idle").set(idle)
        self._metrics.connections.labels(_NAME, "used").set(size - idle)
        self._metrics.connections.labels(_NAME, "max").set(_MOST_CONNECTIONS)


def _unavailable(detail: str = "Platform data cannot be read at the moment. Try again shortly.") -> Unavailable:
    return Unavailable(detail, code="platform_unavailable", retry_after=_RETRY_AFTER_SECONDS)
