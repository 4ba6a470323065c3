"""Limits how many streams a person and a client may have open. A slow reader keeps a store connection busy.

Images and exports are such streams. A quarter of the store's connections is never theirs: uploads, exports, thumbnails
and health go on, even if clients read slowly.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from labeler_api.errors import TooMany, Unavailable
from labeler_api.limits.client_addresses import client_of
from labeler_api.settings import Settings
from labeler_api.telemetry.metrics import Metrics

_WAIT_SECONDS = 5.0  # for an earlier one of one's own: a page may ask for more images than it may have at once
_RETRY_SECONDS = 2


class OpenStreams:
    """Lends places. A person and a client wait a little for a place of their own; nobody waits for others'."""

    def __init__(self, total: int, per_person: int, per_client: int, metrics: Metrics) -> None:
        self._total = total
        self._people, self._clients = _Shares(per_person), _Shares(per_client)
        self._metrics = metrics
        self.open = 0

    @classmethod
    def of(cls, settings: Settings, metrics: Metrics) -> "OpenStreams":
        """Make the places that the settings allow."""
        total = max(1, settings.s3_max_connections * 3 // 4)
        per_client = settings.max_streams_per_client or total
        return cls(total, settings.max_streams_per_person, per_client, metrics)

    @asynccontextmanager
    async def place(self, person: int, client: str) -> AsyncIterator[None]:
        """Lend a place. Raises TooMany if the caller has all of theirs, Unavailable if none is left."""
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_WAIT_SECONDS):
                    await stack.enter_async_context(self._people.one(str(person)))
                    await stack.enter_async_context(self._clients.one(client_of(client)))
            except TimeoutError:
                raise self._too_many() from None
            with self._of_all():
                yield

    @contextmanager
    def _of_all(self) -> Iterator[None]:
        if self.open >= self._total:
            self._metrics.streams_refused.labels("all_taken").inc()
            raise Unavailable(
                "Too many images and files are being sent at the moment. Try again shortly.",
                code="streams_busy",
                retry_after=_RETRY_SECONDS,
            )
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def _too_many(self) -> TooMany:
        self._metrics.streams_refused.labels("own_taken").inc()
        return TooMany(
            "Too many images and files are being sent to you already. Read those first.",
            code="too_many_streams",
            retry_after=_RETRY_SECONDS,
        )


class _Shares:
    """So many places for each name; a name without any is forgotten."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._shares: dict[str, tuple[asyncio.Semaphore, set[object]]] = {}

    @asynccontextmanager
    async def one(self, name: str) -> AsyncIterator[None]:
        share, users = self._shares.setdefault(name, (asyncio.Semaphore(self._each), set()))
        user = object()
        users.add(user)
        try:
            async with share:
                yield
        finally:
            users.discard(user)
            if not users:
                del self._shares[name]
