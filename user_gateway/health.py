"""grpc.health.v1 that can end its own streams: a server that waits for its calls would wait for watchers for ever."""

import asyncio
from typing import Any

from grpc_health.v1 import health


class HealthService(health.aio.HealthServicer):
    """The health service by name, with `Check` and `Watch`."""

    def __init__(self) -> None:
        super().__init__()
        self._watches: set[asyncio.Task[Any]] = set()

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        """Stream the status of one service, until the client leaves or `end_watches`."""
        watch = asyncio.current_task()
        if watch is None:
            raise RuntimeError("Watch is served by a task")
        self._watches.add(watch)
        try:
            await super().Watch(request, context)
        finally:
            self._watches.discard(watch)

    def end_watches(self) -> None:
        """End every stream; who watches has seen NOT_SERVING by then."""
        for watch in self._watches:
            watch.cancel()
