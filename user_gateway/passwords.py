"""Password checks off the event loop: bounded, and the same work for every account.

A check of cost n takes twice as long as one of n - 1. Whatever the cost of an account's hash, further
checks are added up to the work of the highest cost. So its time shows neither an unknown account nor an old one.
"""

import asyncio
import functools
import re
import secrets
from concurrent.futures import Future, ThreadPoolExecutor

import bcrypt
import structlog

from user_gateway.errors import ResourceExhausted
from user_gateway.hash_slots import HashSlots, Release

log = structlog.get_logger(__name__)

_BCRYPT_BYTES = 72  # bcrypt looks no further; the platform's library cut passwords there without a word
_HIGHEST_COST = 14  # a second of a core. A hash that is dearer takes its own time; not everybody's
# A hash of cost 31 takes a day, in one of few slots. An attacker with write access could store one.
_REFUSED_ABOVE = 16  # four seconds of a core; bcrypt's usual cost is 12
_COST = re.compile(r"\$2[abxy]\$(\d\d)\$")
_ROUGHLY_ONE_CHECK_SECONDS = 1.0  # half a second at cost 12, and one round up


class PasswordChecker:
    """Checks as many passwords at once as there are slots, and refuses more: a queue would only delay the refusal."""

    def __init__(self, slots: HashSlots) -> None:
        self._slots = slots
        self._cost = 0
        self._under_way: set[Future[bool]] = set()
        self._threads = ThreadPoolExecutor(slots.number, thread_name_prefix="bcrypt")

    async def check(self, password: str, stored_hash: str | None, *, highest_cost: int) -> bool:
        """Tell whether `password` belongs to `stored_hash`; None, a broken hash or one of too high a cost is False.

        `highest_cost` is what is known of the database. A hash that is dearer raises the work of all later checks.

        Raises ResourceExhausted when all slots are taken. A slot is free again when its thread has ended, even if
        the caller left before.
        """
        release = self._slots.take()
        if release is None:
            raise self._busy()
        cost = _cost_of(stored_hash) or 0
        if cost > _REFUSED_ABOVE:
            log.error(
                "a password hash was refused: its cost is too high to be checked",
                cost=cost,
                highest=_REFUSED_ABOVE,
                help=r"SELECT id FROM users WHERE hashed_password ~ '^\$2.\$(1[7-9]|[23])'",
            )
            stored_hash, cost = None, 0
        self._cost = min(max(self._cost, highest_cost, cost), _HIGHEST_COST)
        work = self._threads.submit(_check, password, stored_hash, self._cost)
        self._under_way.add(work)
        work.add_done_callback(lambda ended: self._ended(ended, release))
        return await asyncio.wrap_future(work)

    @property
    def slots(self) -> tuple[int, int]:
        """(all of them, those that this process uses)."""
        return self._slots.number, len(self._under_way)

    def require_free(self) -> None:
        """Raise ResourceExhausted where `check` would, before anything is done for it."""
        if not self._slots.free:
            raise self._busy()

    def _busy(self) -> ResourceExhausted:
        return ResourceExhausted(
            "TOO_MANY_CHECKS",
            "Too many passwords are being checked.",
            metadata={"slots": str(self._slots.number)},
            retry_after_seconds=_ROUGHLY_ONE_CHECK_SECONDS,
        )

    def _ended(self, work: "Future[bool]", release: Release) -> None:
        self._under_way.discard(work)
        release()

    def close(self) -> None:
        """Begin no further check. Those under way have nobody who waits for them, and are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _check(password: str, stored_hash: str | None, whole_cost: int) -> bool:
    """Do the work of `whole_cost`: 2^n of the hash itself, then 2^n, 2^(n + 1) … to the half of the whole."""
    secret = password.encode()[:_BCRYPT_BYTES]
    cost = _cost_of(stored_hash)
    if stored_hash and cost is not None:
        try:
            right = bcrypt.checkpw(secret, stored_hash.encode())
        except ValueError:  # it only begins like one
            pass
        else:
            for rest in range(cost, whole_cost):
                bcrypt.checkpw(secret, _dummy_hash(rest))
            return right
    bcrypt.checkpw(secret, _dummy_hash(whole_cost))
    return False


def _cost_of(stored_hash: str | None) -> int | None:
    """Read the cost of a bcrypt hash; None for anything else, which no password fits."""
    found = _COST.match(stored_hash or "")
    return int(found[1]) if found else None


@functools.cache
def _dummy_hash(cost: int) -> bytes:
    # The password of this hash is thrown away: the check cannot succeed.
    salt = bcrypt.gensalt(cost)
    return salt + bcrypt.hashpw(secrets.token_bytes(32), bcrypt.gensalt(4))[len(salt) :]
