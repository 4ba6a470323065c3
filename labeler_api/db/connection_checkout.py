"""Lends the pool's connections to admitted callers: tested before, and taken back only if they are in order.

Nobody waits for a server that does not answer. A connection that was too slow is thrown away, one whose statement was
cancelled is cleaned up after its user has gone on, and one that was idle for long is tested first.

What comes back in order is kept here for the next one, beside the pool: the driver makes a task, a timer and an object
of its own for each time that a connection leaves the pool and returns, which is a tenth of a short call.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf
from time import monotonic, perf_counter
from typing import Any

import asyncpg
from msgspec import Struct

from labeler_api.db.admission import Admission, ConnectionPurpose, Permit
from labeler_api.db.errors import translated
from labeler_api.db.failures import FAILURES
from labeler_api.telemetry.instruments import Instruments
from service_kit.postgres import LivenessCheck, throw_away

_ROLLBACK_SECONDS = 2.0  # nothing is lost without its answer: the server rolls back what is cut off
_RECOVERY_SECONDS = 2.0  # for a cancelled statement to end; else its connection is not worth the wait
_PING_SECONDS = 3.0  # a probe of a deployment waits about as long


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """Sizes in connections, times in seconds; the meaning of DB_POOL_* (docs/architecture.md has the sum)."""

    min_size: int = 5
    max_size: int = 15
    acquire_seconds: float = 30.0
    recycle_seconds: float = 3600.0
    statement_cache: bool = True


class Caller(Struct, frozen=True):
    """Who wants a connection. The times are those of `time.monotonic`.

    `person` and `project` say whose shares it is taken from, `patience` until when a place is waited for, and
    `deadline` when all of it has to be over.
    """

    person: str = ""
    project: str = ""
    patience: float = inf
    deadline: float = inf


class Lender:
    """The pool behind its shares."""

    def __init__(self, pool: Any, options: PoolOptions, instruments: Instruments) -> None:
        self._pool = pool
        self._options = options
        self._metrics = instruments.metrics
        self._acquire_seconds = instruments.metrics.acquire_seconds.labels("labeler")
        self.admission = Admission(options.max_size, instruments.metrics)
        self._waiting = 0
        self._liveness = LivenessCheck(pool, options.recycle_seconds)
        self._recovering: set[asyncio.Task[None]] = set()
        self._ping: asyncio.Task[None] | None = None
        self._kept: list[Any] = []  # the latest last, so that the others grow old and go
        self._closing = False
        instruments.metrics.watch(self._show)

    async def warm(self) -> None:
        """Open the pool's minimal size at once, where the server is there."""
        try:
            async with asyncio.timeout(5):
                held = await asyncio.gather(*(self._pool.acquire() for _ in range(self._options.min_size)))
        except FAILURES:
            return
        for connection in held:
            await self._pool.release(connection)

    @asynccontextmanager
    async def lent(self, work: ConnectionPurpose, caller: Caller) -> AsyncIterator[Any]:
        """Lend a connection for as long as the block lasts."""
        connection, admitted = await self.lend(work, caller)
        try:
            yield connection
        except BaseException as error:
            await self.take_back(connection, admitted, error)
            raise
        await self.take_back(connection, admitted)

    async def lend(self, work: ConnectionPurpose, caller: Caller) -> tuple[Any, Permit]:
        """Lend a connection; it must be given back by `take_back`."""
        started = perf_counter()
        until = min(monotonic() + self._options.acquire_seconds, caller.patience, caller.deadline)
        self._waiting += 1
        try:
            admitted = await self.admission.admit(work, caller.person, caller.project, until)
            try:
                connection = self._at_hand()
                if connection is None:
                    # Nobody waits here but for a new connection: there are no more places than connections.
                    async with asyncio.timeout(min(self._options.acquire_seconds, caller.deadline - monotonic())):
                        connection = await self._take()
            except BaseException:
                admitted.leave()
                raise
        except Exception:
            self._metrics.acquire_failures.labels("labeler").inc()
            raise
        finally:
            self._waiting -= 1
        self._acquire_seconds.observe(perf_counter() - started)
        return connection, admitted

    def lend_at_once(self, work: ConnectionPurpose, caller: Caller) -> tuple[Any, Permit] | None:
        """Lend a connection where nothing has to be waited for, as is usual; else None, and `lend` waits."""
        started = perf_counter()
        connection = self._at_hand()
        if connection is None:
            return None
        admitted = self.admission.admit_at_once(work, caller.person, caller.project)
        if admitted is None:
            self._kept.append(connection)
            return None
        self._acquire_seconds.observe(perf_counter() - started)
        return connection, admitted

    def take_back_at_once(self, connection: Any, admitted: Permit) -> bool:
        """Take a connection back whose use ended in order. False where `take_back` has more to do."""
        oldest = self._kept[0] if self._kept else None
        if oldest is not None and not self._liveness.answered_lately(oldest):
            return False
        if not self._keeps(connection):
            return False
        admitted.leave()
        return True

    async def take_back(self, connection: Any, admitted: Permit, error: BaseException | None = None) -> None:
        """Take a connection back, given what its use ended with. A transaction that is still open is rolled back."""
        if isinstance(error, asyncio.CancelledError) or _is_of_the_driver(error):
            self._see_to(connection, admitted)
            return
        if isinstance(error, TimeoutError):
            self._liveness.suspect_all()
            throw_away(connection)
        elif error is not None:
            try:
                await _rolled_back(connection)
            except asyncio.CancelledError:
                self._see_to(connection, admitted)
                raise
        elif self._keeps(connection):
            admitted.leave()
            if not self._liveness.answered_lately(self._kept[0]):
                await self._given_back(self._kept.pop(0))  # the pool closes it when it was quiet for long
            return
        await self._returned(connection, admitted)

    async def ping(self) -> None:
        """Raise unless the server answers now. Calls meanwhile share the answer, and one connection."""
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._asked(), name="database ping")
            self._ping.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._ping)

    async def close(self) -> None:
        """Close every connection; those at work are waited for, 5 seconds at most."""
        self._closing = True
        try:
            async with asyncio.timeout(5):
                while self._kept:
                    await self._given_back(self._kept.pop())
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @property
    def size(self) -> tuple[int, int]:
        """(open connections, idle ones)."""
        return self._pool.get_size(), self._pool.get_idle_size() + len(self._kept)

    def _at_hand(self) -> Any:
        """Take a connection that came back a short while ago; None where there is none."""
        if self._kept and self._liveness.answered_lately(self._kept[-1]):
            return self._kept.pop()
        return None

    async def _take(self) -> Any:
        """Take a connection: one at hand, or one of the pool, which gets back what has grown old here."""
        while self._kept:
            if (connection := self._at_hand()) is not None:
                return connection
            await self._given_back(self._kept.pop())
        return await self._liveness.take()

    def _keeps(self, connection: Any) -> bool:
        """Keep a connection whose use ended without an error; False for one that was lost, and at the end."""
        if self._closing:
            return False
        try:
            if connection.is_closed():
                return False
        except asyncpg.InterfaceError:  # ended already, and so back in the pool
            return False
        connection.note_answer()
        self._kept.append(connection)
        return True

    async def _given_back(self, connection: Any) -> None:
        with suppress(*FAILURES):
            await self._pool.release(connection)

    async def _asked(self) -> None:
        with translated():
            async with asyncio.timeout(_PING_SECONDS):
                connection = await self._take()
            error: BaseException | None = None
            try:
                async with asyncio.timeout(_PING_SECONDS):
                    await connection.fetchval("SELECT 1")
            except BaseException as caught:
                error = caught
                raise
            finally:
                await self.take_back(connection, Permit(), error)

    def _see_to(self, connection: Any, admitted: Permit) -> None:
        """Have a statement ended that was left before its end, with the locks that it has. Nobody waits for that."""
        task = asyncio.create_task(self._recovered(connection, admitted), name="connection recovery")
        self._recovering.add(task)
        task.add_done_callback(self._recovering.discard)

    async def _recovered(self, connection: Any, admitted: Permit) -> None:
        try:
            async with asyncio.timeout(_RECOVERY_SECONDS):
                await connection.execute("SELECT 1")  # comes after that statement's end
        except asyncpg.InFailedSQLTransactionError:
            pass
        except FAILURES as error:
            if isinstance(error, TimeoutError):
                self._liveness.suspect_all()
            throw_away(connection)
        await _rolled_back(connection)
        await self._returned(connection, admitted)

    async def _returned(self, connection: Any, admitted: Permit) -> None:
        try:
            with suppress(asyncpg.InterfaceError):  # ended already, and so back in the pool
                if not connection.is_closed():
                    connection.note_answer()
            await self._pool.release(connection)
        finally:
            admitted.leave()

    def _show(self) -> None:
        size, idle = self.size
        self._metrics.connections.labels("labeler", "idle").set(idle)
        self._metrics.connections.labels("labeler", "used").set(size - idle)
        self._metrics.connections.labels("labeler", "max").set(self._options.max_size)
        self._metrics.waiting.labels("labeler").set(self._waiting)


def _is_of_the_driver(error: BaseException | None) -> bool:
    """Whether the driver refused a value. The statement is prepared by then, and left as a cancelled one is."""
    return isinstance(error, asyncpg.InterfaceError) or type(error) is asyncpg.DataError  # the server's are subclasses


async def _rolled_back(connection: Any) -> None:
    """End a transaction that is still open; a connection on which that does not go at once is thrown away."""
    try:
        if connection.is_in_transaction():
            async with asyncio.timeout(_ROLLBACK_SECONDS):
                await connection.execute("ROLLBACK")
    except FAILURES:
        throw_away(connection)
