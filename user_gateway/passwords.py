"""Password checks off the event loop: bounded, and as long for unknown accounts as for known ones."""

import asyncio
import functools
import secrets
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import bcrypt

from user_gateway.errors import ResourceExhausted

_BCRYPT_BYTES = 72  # bcrypt looks no further; the platform's library cut passwords there without a word
_ROUGHLY_ONE_CHECK_SECONDS = 1.0  # half a second at cost 12, and one round up


class PasswordChecker:
    """Checks at most `slots` passwords at once and refuses further ones: a queue would only delay the refusal."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._free = threading.BoundedSemaphore(slots)
        self._under_way: set[Future[bool]] = set()
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="bcrypt")

    async def check(self, password: str, stored_hash: str | None, *, usual_cost: int) -> bool:
        """Tell whether `password` belongs to `stored_hash`; None or a broken hash costs the usual work and is False.

        Raises ResourceExhausted when all slots are taken. A slot is free again when its thread has ended, even if
        the caller left before.
        """
        if not self._free.acquire(blocking=False):
            raise ResourceExhausted(
                "TOO_MANY_CHECKS",
                "Too many passwords are being checked.",
                metadata={"slots": str(self._slots)},
                retry_after_seconds=_ROUGHLY_ONE_CHECK_SECONDS,
            )
        work = self._threads.submit(_check, password, stored_hash, usual_cost)
        self._under_way.add(work)
        work.add_done_callback(self._ended)
        return await asyncio.wrap_future(work)

    @property
    def slots(self) -> tuple[int, int]:
        """(all of them, those in use)."""
        return self._slots, len(self._under_way)

    def _ended(self, work: "Future[bool]") -> None:
        self._under_way.discard(work)
        self._free.release()

    def close(self) -> None:
        """Wait for the checks under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _check(password: str, stored_hash: str | None, usual_cost: int) -> bool:
    secret = password.encode()[:_BCRYPT_BYTES]
    if stored_hash:
        try:
            return bcrypt.checkpw(secret, stored_hash.encode())
        except ValueError:  # not a bcrypt hash: no password fits
            pass
    bcrypt.checkpw(secret, _dummy_hash(usual_cost))
    return False


@functools.cache
def _dummy_hash(cost: int) -> bytes:
    # The password of this hash is thrown away: the check cannot succeed.
    salt = bcrypt.gensalt(cost)
    return salt + bcrypt.hashpw(secrets.token_bytes(32), bcrypt.gensalt(4))[len(salt) :]
