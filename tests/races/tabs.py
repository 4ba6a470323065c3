"""A browser tab: connections of its own to every process, over wires that stall and break."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.fixtures.api_processes import Cluster, seeded
from tests.fixtures.wire import Wire

_REQUEST_BYTES = 700  # head and body of a save, about: a cut falls into either, or behind the end
_ANSWER_BYTES = 900


@dataclass(frozen=True)
class Trouble:
    """How often a request meets what; `stall_seconds` is the longest stall.

    `servers_end`: the test ends servers, so a connection may break on its own, and 503 is an answer.
    """

    cut: float = 0.1
    stall: float = 0.1
    stall_seconds: float = 0.5
    servers_end: bool = False


_AGAIN_SECONDS = 0.1  # after a 503; sooner than Retry-After asks, so that the time of the recovery is seen


class Tab:
    """Sends each request to some process; `send` returns None when the wire broke and nobody knows what happened."""

    def __init__(
        self, direct: list[httpx.AsyncClient], wired: list[tuple[httpx.AsyncClient, Wire]], trouble: Trouble, name: str
    ) -> None:
        self.name = name
        self.seen: Counter[str] = Counter()
        self.choose = random.Random()
        self.slowest_refusal = 0.0
        self._direct = direct
        self._wired = wired
        self._trouble = trouble

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Send a request, perhaps late, perhaps in vain. A 500 is never an answer."""
        number = self.choose.randrange(len(self._direct))
        stalled, cut = (self.choose.random() < chance for chance in (self._trouble.stall, self._trouble.cut))
        self.seen["requests"] += 1
        try:
            if stalled or cut:
                answer = await self._over_wire(number, stalled, cut, method, path, **options)
            else:
                answer = await self._direct[number].request(method, path, **options)
        except httpx.TransportError:
            assert cut or self._trouble.servers_end, "the server closed a connection on its own"
            self.seen["cuts"] += 1
            await asyncio.sleep(0 if cut else _AGAIN_SECONDS)
            return None
        self.seen[str(answer.status_code)] += 1
        assert answer.status_code != 500, answer.text
        if answer.status_code == 503 and self._trouble.servers_end:
            assert int(answer.headers["Retry-After"]) >= 1
            self.slowest_refusal = max(self.slowest_refusal, answer.elapsed.total_seconds())
            await asyncio.sleep(_AGAIN_SECONDS)
            return None
        return answer

    async def _over_wire(
        self, number: int, stalled: bool, cut: bool, method: str, path: str, **options: Any
    ) -> httpx.Response:
        client, wire = self._wired[number]
        wire.delay = (0.0, self._trouble.stall_seconds) if stalled else None
        if cut:
            self._damage(wire)
        try:
            return await client.request(method, path, **options)
        finally:
            wire.heal()

    def _damage(self, wire: Wire) -> None:
        """Lose part of the request, or part of the answer to a request that has arrived."""
        if self.choose.random() < 0.3:
            wire.cut_request_after(self.choose.randrange(1, _REQUEST_BYTES))
        else:
            wire.cut_after(self.choose.randrange(_ANSWER_BYTES))


@asynccontextmanager
async def opened(
    cluster: Cluster, account: str, number: int, *, trouble: Trouble, seed: int
) -> AsyncIterator[list[Tab]]:
    """Open so many tabs of one account."""
    async with AsyncExitStack() as stack:
        yield [await _tab(stack, cluster, account, f"tab {n}", trouble, seed) for n in range(number)]


async def _tab(stack: AsyncExitStack, cluster: Cluster, account: str, name: str, trouble: Trouble, seed: int) -> Tab:
    wired = []
    for process, client in enumerate(cluster.clients(account)):
        wire = await stack.enter_async_context(Wire(cluster.processes[process].port, seeded(seed, name, process)))
        client.base_url = f"http://127.0.0.1:{wire.port}"
        wired.append((client, wire))
    tab = Tab(cluster.clients(account), wired, trouble, name)
    tab.choose = seeded(seed, name)
    return tab


def total(tabs: list[Tab]) -> Counter[str]:
    """What all of them met."""
    return sum((tab.seen for tab in tabs), Counter())
