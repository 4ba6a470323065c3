"""Rate limits: what may be tried how often. The `limits` library names them, labeler_api.limits.counters counts."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute

from labeler_api.errors import TooMany
from labeler_api.limits.client_addresses import client_of
from labeler_api.limits.counters import LimitStorage, Storage
from labeler_api.text.counted_nouns import counted

INVITATIONS_PER_INVITER = RateLimitItemPerHour(20, namespace="invitations")
# By address, which tells whether there is such an account: a department, and no list of addresses to try.
MEMBERS_PER_PERSON = RateLimitItemPerHour(500, namespace="members")
# The invite dialog asks three times a second at most, while somebody types.
SEARCHES_PER_PERSON = RateLimitItemPerMinute(60, namespace="searches")

# An office shares an address, so that this is wider than what one account is given.
_LOGINS_PER_CLIENT = 60
_CLIENT_SECONDS = 60

# Counted for an account and a client together. From another client the account is free: nobody locks somebody else out.
_FREE_TRIES = 5
_FIRST_WAIT_SECONDS = 60
_LONGEST_WAIT_SECONDS = 900
_FORGOTTEN_SECONDS = 3600  # four times the longest wait: somebody who goes on guessing gets a dozen tries an hour


@dataclass(frozen=True, slots=True)
class LoginTry:
    """A try to log in that was let through, and is counted as failed until something else is known."""

    _storage: LimitStorage
    _client: str
    _account: str
    _wait: str
    _waits: bool

    async def succeeded(self) -> None:
        """Forget the failures of this account from this client."""
        await self._storage.ask(lambda storage: storage.clear(self._account))
        await self._storage.ask(lambda storage: storage.clear(self._wait))

    async def not_judged(self) -> None:
        """Take the try back: the password was not checked, so the try says nothing about its sender."""
        await self._storage.ask(lambda storage: storage.incr(self._client, _CLIENT_SECONDS, -1))
        await self._storage.ask(lambda storage: storage.incr(self._account, _FORGOTTEN_SECONDS, -1))
        if self._waits:
            await self._storage.ask(lambda storage: storage.clear(self._wait))


class Limits:
    """What each process counts, together with the others where they share a storage."""

    def __init__(self, storage: LimitStorage | None = None) -> None:
        self._storage = storage or LimitStorage()

    async def hit(self, limit: RateLimitItem, *names: str) -> None:
        """Count one try. Raises TooMany, with the seconds to wait, when it is one too many."""
        key, most, seconds = _key(limit.key_for(), *names), limit.amount, limit.get_expiry()
        if await self._storage.ask(lambda storage: storage.acquire_entry(key, most, seconds)):
            return
        first, _ = await self._storage.ask(lambda storage: storage.get_moving_window(key, most, seconds))
        raise self._too_many(first + seconds)

    async def try_login(self, client: str, email: str) -> LoginTry:
        """Count a try before its work, so that tries side by side count too. Raises TooMany.

        After five failures on an account a client waits, twice as long after each further one, up to 15 minutes. A try
        that is refused here counts for nothing.
        """
        client = client_of(client)  # an IPv6 subscriber has a network of addresses, and no limit for each
        by_client = _key("login", client)
        account, wait = _key("login", client, email.casefold()), _key("login-wait", client, email.casefold())
        if await self._storage.ask(lambda storage: storage.get(wait)):
            raise await self._wait_for(wait)
        if await self._add(by_client, _CLIENT_SECONDS) > _LOGINS_PER_CLIENT:
            refusal = await self._wait_for(by_client)
            await self._add(by_client, _CLIENT_SECONDS, -1)
            raise refusal
        tries = await self._add(account, _FORGOTTEN_SECONDS)
        admitted = LoginTry(self._storage, by_client, account, wait, tries >= _FREE_TRIES)
        # The wait begins with the try and not with its failure. Of two at once, one begins it and is let through.
        if admitted._waits and await self._add(wait, _wait_seconds(tries)) > 1:
            await self._add(by_client, _CLIENT_SECONDS, -1)
            await self._add(account, _FORGOTTEN_SECONDS, -1)
            raise await self._wait_for(wait)
        return admitted

    async def connect(self) -> None:
        """Have a connection to the shared storage before somebody waits for it."""
        await self._storage.connect()

    async def close(self) -> None:
        """Close the shared storage's connections."""
        await self._storage.close()

    async def _add(self, key: str, seconds: int, amount: int = 1) -> int:
        return await self._storage.ask(lambda storage: storage.incr(key, seconds, amount))

    async def _wait_for(self, key: str) -> TooMany:
        ends: Callable[[Storage], Awaitable[float]] = lambda storage: storage.get_expiry(key)  # noqa: E731 - typed
        return self._too_many(await self._storage.ask(ends))

    def _too_many(self, ends_at: float) -> TooMany:
        wait = max(1, math.ceil(ends_at - self._storage.clock()))
        return TooMany(f"Too many attempts. Try again in {counted(wait, 'second', 'seconds')}.", retry_after=wait)


def _wait_seconds(tries: int) -> int:
    doublings = min(tries - _FREE_TRIES, 10)  # far beyond the longest wait, and no great number
    return min(_FIRST_WAIT_SECONDS << doublings, _LONGEST_WAIT_SECONDS)


def _key(*names: str) -> str:
    """Make a key of constant size out of what strangers send; a shared storage learns no address by it."""
    return blake2b("\0".join(names).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
