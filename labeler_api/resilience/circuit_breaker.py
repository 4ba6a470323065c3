"""A circuit breaker: after failures in a row a part is left alone, but for one call a second that tries.

Calls then fail (or fall back) at once instead of each waiting for its own deadline. Own code of some twenty lines:
docs/decisions/0017-breakers-by-kind-of-call.md says why no library.
"""

from collections.abc import Callable
from time import monotonic

_FAILURES_TO_OPEN = 3
_RETRY_AFTER_SECONDS = 1.0


class CircuitBreaker:
    """Belongs to one kind of call. Ask `admits` before the call and tell what came of it."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    def admits(self, seconds: float) -> bool:
        """Whether a call may be made now. Of those that would try a part left alone, one in `seconds`, its deadline."""
        if self._failures < _FAILURES_TO_OPEN:
            return True
        if self._clock() < self._open_until:
            return False
        self._open_until = self._clock() + seconds
        return True

    def failed(self) -> None:
        """The part did not answer."""
        self._failures += 1
        self._open_until = self._clock() + _RETRY_AFTER_SECONDS

    def answered(self) -> None:
        """The part answered, if only with an error of its own."""
        self._failures = 0
