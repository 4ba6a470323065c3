"""Connections to PostgreSQL with timeouts on both sides.

A firewall that forgets a connection, or a machine that loses its power, tells nobody. The kernels of both sides ask
after a quiet while, and a pool's connection that was quiet for long is asked for a sign of life before it is lent.
"""

import asyncio
import socket
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any

import asyncpg

FAILURES = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # The driver's word between the server's farewell and the end of the connection: "cannot switch to state …".
    asyncpg.InternalClientError,
)
"""What asyncpg raises when a database refuses, is away, or goes away."""

_KEEPALIVE_IDLE_SECONDS = 15
_KEEPALIVE_INTERVAL_SECONDS = 5
_KEEPALIVE_TRIES = 3  # so the other side is given up half a minute after it fell silent
_UNACKNOWLEDGED_SECONDS = 20  # what was sent and not even received for so long will not be answered

KEEPALIVE: dict[str, str] = {
    "tcp_keepalives_idle": str(_KEEPALIVE_IDLE_SECONDS),
    "tcp_keepalives_interval": str(_KEEPALIVE_INTERVAL_SECONDS),
    "tcp_keepalives_count": str(_KEEPALIVE_TRIES),
    "tcp_user_timeout": str(_UNACKNOWLEDGED_SECONDS * 1000),
}
"""What a connection asks of its server's kernel. Known since PostgreSQL 12."""

_SOCKET_OPTIONS = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", _KEEPALIVE_IDLE_SECONDS),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", _KEEPALIVE_INTERVAL_SECONDS),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", _KEEPALIVE_TRIES),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", _UNACKNOWLEDGED_SECONDS * 1000),
)

# A firewall forgets idle connections. So an idle one is tested before it is used.
_QUIET_SECONDS = 30.0
_ANSWER_SECONDS = 2.0  # to that question; a server that is there takes a millisecond


class Connection(asyncpg.Connection):
    """A connection that knows its age, and when the server last answered on it, which asyncpg's pool does not."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.born_at = self.heard_at = monotonic()
        self.was_left = False

    def note_answer(self) -> None:
        """The server is there."""
        self.heard_at = monotonic()

    def note_left(self) -> None:
        """A statement failed or was cancelled: it may have been left between its two messages."""
        self.was_left = True


def note_failure(connection: Any) -> None:
    """Have what a failed or cancelled statement has left ended, when its connection goes back."""
    with suppress(asyncpg.InterfaceError):  # ended already, and so back in the pool
        if not connection.is_closed():
            connection.note_left()


async def end_what_was_left(connection: Any) -> None:
    """End what a failed or cancelled statement has left, when its connection goes back: `reset` of a pool.

    The driver prepares with one message and runs with the next. What is cut off in between is a transaction already,
    with locks on its tables, until the connection is used again. Nothing else is reset: single reads leave nothing.
    """
    if connection.was_left:
        await connection.execute("SELECT 1")
        connection.was_left = False


def watch_silence(connection: Any) -> None:
    """Have the kernel notice on this side, too, that the other one is gone."""
    # The driver has no word for it; what it lacks is no reason to fail.
    transport = getattr(connection, "_transport", None)
    wire = transport.get_extra_info("socket") if transport is not None else None
    if wire is None or wire.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for level, name, value in _SOCKET_OPTIONS:
        if hasattr(socket, name):  # Linux has them all
            wire.setsockopt(level, getattr(socket, name), value)


def throw_away(connection: Any) -> None:
    """End a connection without a farewell, which could wait for ever."""
    with suppress(asyncpg.InterfaceError):  # it was lost meanwhile, and the pool knows
        connection.terminate()


class LivenessCheck:
    """Takes connections of our class out of a pool: those that are neither too old nor silent."""

    def __init__(self, pool: Any, recycle_seconds: float = inf) -> None:
        self._pool = pool
        self._recycle_seconds = recycle_seconds
        # When a connection last fell silent: others that have not answered since may have done so, too.
        self._suspected_at = self._silent_at = -inf

    def suspect_all(self) -> None:
        """Have each connection tested before its next use, unless it answers from now on."""
        self._suspected_at = monotonic()

    def answered_lately(self, connection: Any) -> bool:
        """Whether a connection that is held already needs no sign of life: it answered a short while ago."""
        try:
            if connection.is_closed():
                return False
        except asyncpg.InterfaceError:  # it was lost meanwhile, and the pool has it back
            return False
        now, heard_at = monotonic(), connection.heard_at
        return bool(
            now - connection.born_at <= self._recycle_seconds
            and heard_at >= max(self._silent_at, self._suspected_at)
            and now - heard_at < _QUIET_SECONDS
        )

    async def take(self, seconds: float | None = None) -> Any:
        """Wait for a connection; `seconds` is for a single one, and there may be several that do not answer."""
        while True:
            connection = await self._pool.acquire(timeout=seconds)
            now, heard_at = monotonic(), connection.heard_at
            if now - connection.born_at > self._recycle_seconds or heard_at < self._silent_at:
                connection.terminate()
                continue
            known = heard_at >= self._suspected_at and now - heard_at < _QUIET_SECONDS
            if known or await self._answers(connection):
                return connection

    async def give_back(self, connection: Any, seconds: float) -> bool:
        """Give a connection back; one that is not at rest in time, after a cancelled statement, is thrown away.

        False: it was thrown away, and its statement may still run.
        """
        try:
            with suppress(asyncpg.InterfaceError):  # ended already, and so back in the pool
                await self._pool.release(connection, timeout=seconds)
        except FAILURES as error:
            if isinstance(error, TimeoutError):
                self.suspect_all()
            throw_away(connection)
            return False
        return True

    async def _answers(self, connection: Any) -> bool:
        """Ask whether it still answers. If not, it is closed, and later those that were idle just as long."""
        asked_at = monotonic()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await connection.execute("SELECT 1")
        except TimeoutError:
            self._silent_at = asked_at
            throw_away(connection)
            return False
        except FAILURES:
            throw_away(connection)
            return False
        except BaseException:
            throw_away(connection)
            raise
        connection.note_answer()
        return True
