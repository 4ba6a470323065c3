"""Names of the organizations of users: from the Platform DB, through a cache, and never waited for long."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from msgspec import Struct

from labeler_api.db.platform import PlatformDatabase
from labeler_api.errors import Unavailable
from labeler_api.resilience.single_flight import SingleFlight
from labeler_api.text.names import shown

_NAME = "SELECT id, name FROM organizations WHERE id = $1"

_KNOWN_SECONDS = 300.0  # a name changes once in years
_UNKNOWN_SECONDS = 30.0  # an organization that was just made is seen soon
_WAIT_SECONDS = 0.25  # what a person logging in does not notice; beyond it the name is left out
_IMPATIENT_SECONDS = 5.0  # once somebody waited in vain, nobody waits again for so long
_CAPACITY = 10_000  # 2 MB


class OrganizationName(Struct, frozen=True):
    """An organization, as far as it is shown beside a user."""

    id: int
    name: str


class _Seen(Struct, frozen=True):
    value: OrganizationName | None
    expires_at: float


class Organizations:
    """What organizations are called. One per process; belongs to the event loop it is used in."""

    def __init__(self, platform: PlatformDatabase, *, clock: Callable[[], float] = monotonic) -> None:
        self._platform = platform
        self._clock = clock
        self._seen: OrderedDict[int, _Seen] = OrderedDict()
        self._look_ups: SingleFlight[int, None] = SingleFlight()
        self._impatient_until = 0.0

    async def find(self, organization_id: int | None) -> OrganizationName | None:
        """Return the organization, as last known when it cannot be asked for; None when it is not known. Never raises.

        Takes a quarter of a second at most, whatever the Platform DB does.
        """
        if organization_id is None or not self._platform.configured:
            return None
        seen = self._seen.get(organization_id)
        if seen is None or self._clock() >= seen.expires_at:
            await self._look_up(organization_id)
            seen = self._seen.get(organization_id)
        return seen.value if seen is not None else None

    async def close(self) -> None:
        """Give up the look-ups under way."""
        await self._look_ups.cancel()

    async def _look_up(self, organization_id: int) -> None:
        """Ask, or wait for a question that is under way, for _WAIT_SECONDS at most. It goes on without us."""
        task = self._look_ups.running(organization_id)
        if task is None:
            task = self._look_ups.start([organization_id], self._ask(organization_id), "organization look-up")
        if self._clock() < self._impatient_until:
            await asyncio.sleep(0)  # an answer that needs no waiting, such as a refusal, is taken
            return
        done, _ = await asyncio.wait({task}, timeout=_WAIT_SECONDS)
        if not done:
            self._impatient_until = self._clock() + _IMPATIENT_SECONDS

    async def _ask(self, organization_id: int) -> None:
        try:
            async with self._platform.read() as connection:
                row = await connection.fetchrow(_NAME, organization_id)
        except Unavailable:
            return
        self._impatient_until = 0.0
        value = OrganizationName(row["id"], shown(row["name"])) if row is not None else None
        seconds = _KNOWN_SECONDS if value is not None else _UNKNOWN_SECONDS
        self._seen[organization_id] = _Seen(value, self._clock() + seconds)
        self._seen.move_to_end(organization_id)
        if len(self._seen) > _CAPACITY:
            self._seen.popitem(last=False)
