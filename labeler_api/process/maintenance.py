"""Maintenance mode: what this process knows of the switch in the Labeler DB, and how it hears of it.

`labeler maintenance on` sets the row, notifies, and then builds a fence in the database that refuses the writes of
processes that missed it. This process hears of the row by LISTEN, and reads it twice a second if that is cut off. The
connection that this takes also looks after transactions that stand still (db/stalled_transactions.py).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic

import asyncpg
import structlog

from labeler_api.db.connection import PATIENCE
from labeler_api.db.failures import FAILURES
from labeler_api.db.stalled_transactions import LOOK_SECONDS, end_frozen
from labeler_api.errors import Unavailable
from service_kit.postgres import watch_silence

CODE = "maintenance"
# Nobody knows how long a move takes; browsers and job runners that ask again twice a minute do no harm.
RETRY_SECONDS = 30

_CHANNEL = "maintenance"
_LOOK_EVERY = 0.5  # seconds; with a notification lost, the news is still here within one
_CONNECT_SECONDS = 10.0
_STATEMENT_SECONDS = 5.0  # a server that fell silent is noticed by it
_STATE = "SELECT reason FROM maintenance WHERE mode = 'on'"

log = structlog.get_logger("labeler_api.process.maintenance")

Heard = Callable[[bool], Awaitable[None]]
"""Told of every change: True when maintenance begins, False when it ends."""


def refusal(reason: str | None = None) -> Unavailable:
    """Make the answer to a write in maintenance mode."""
    said = f" {reason}" if reason else ""
    text = f"The labeler is in maintenance mode: reading goes on, nothing can be changed.{said} Try again later."
    return Unavailable(text, code=CODE, retry_after=RETRY_SECONDS)


class Maintenance:
    """Whether writing is allowed, as far as this process knows. `forced` is the environment's word, which wins."""

    def __init__(self, *, forced: bool = False) -> None:
        self._forced = forced
        self._on = False
        self._reason: str | None = None

    @property
    def forced(self) -> bool:
        """Whether this process alone refuses writes (MAINTENANCE_MODE), whatever the others do."""
        return self._forced

    @property
    def on(self) -> bool:
        """Whether writes are refused."""
        return self._forced or self._on

    def require_off(self) -> None:
        """Raise Unavailable (503) in maintenance mode."""
        if self.on:
            raise refusal(self._reason)

    @asynccontextmanager
    async def watched(self, dsn: str, heard: Heard) -> AsyncIterator[None]:
        """Follow the switch for as long as the block lasts; `dsn` must not lead to a transaction pooler."""
        if self._forced:
            await heard(True)
        task = asyncio.create_task(self._follow(dsn, heard), name="maintenance")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _follow(self, dsn: str, heard: Heard) -> None:
        while True:
            try:
                await self._look(dsn, heard)
            except FAILURES as error:
                # Without a database there is nothing to write to; what was known last goes on holding.
                log.warning("the switch of maintenance mode cannot be read", reason=type(error).__name__)
            await asyncio.sleep(_LOOK_EVERY)

    async def _look(self, dsn: str, heard: Heard) -> None:
        """Read the switch on one connection, until that is lost."""
        connection = await asyncpg.connect(
            dsn,
            timeout=_CONNECT_SECONDS,
            command_timeout=_STATEMENT_SECONDS,
            server_settings={"application_name": "labeler_api maintenance", **PATIENCE},
        )
        watch_silence(connection)
        news = asyncio.Event()
        looked_at = monotonic()
        try:
            await connection.add_listener(_CHANNEL, lambda *_: news.set())
            while True:
                if monotonic() - looked_at >= LOOK_SECONDS:
                    looked_at = monotonic()
                    await end_frozen(connection)
                rows = await connection.fetch(_STATE)
                await self._note(bool(rows), rows[0]["reason"] if rows else None, heard)
                news.clear()
                await _either(news, _LOOK_EVERY)
        finally:
            connection.terminate()

    async def _note(self, on: bool, reason: str | None, heard: Heard) -> None:
        self._reason = reason
        if on == self._on:
            return
        self._on = on
        log.warning("maintenance mode", on=on, reason=reason)
        if not self._forced:
            await heard(on)


async def _either(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return
