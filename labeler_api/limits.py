"""Rate limits of the process, by the `limits` library: what may be tried how often."""

import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from labeler_api.errors import TooMany

# design/reliability.md, 19. Per client is wider than per account: an office shares one address.
LOGIN_PER_ACCOUNT = parse("5/minute")
LOGIN_PER_CLIENT = parse("60/minute")
INVITATIONS_PER_INVITER = parse("20/hour")


class Limits:
    """Moving windows in memory. Each process counts for itself; N processes allow N times as much."""

    def __init__(self) -> None:
        self._strategy = MovingWindowRateLimiter(MemoryStorage())

    def hit(self, limit: RateLimitItem, *names: str) -> None:
        """Count one try. Raises TooMany, with the seconds to wait, when it is one too many."""
        if not self._strategy.hit(limit, *names):
            raise self._too_many(limit, *names)

    def clear(self, limit: RateLimitItem, *names: str) -> None:
        """Forget the tries, after a success."""
        self._strategy.clear(limit, *names)

    def _too_many(self, limit: RateLimitItem, *names: str) -> TooMany:
        reset_at = self._strategy.get_window_stats(limit, *names).reset_time
        wait = max(1, int(reset_at - time.time()) + 1)
        return TooMany(f"Too many attempts. Try again in {wait} seconds.", retry_after=wait)
