"""A circuit breaker: after failures in a row a part is left alone, but for one call now and then that tries.

Calls then fail (or fall back) at once instead of each waiting for its own deadline. Own code of some twenty lines:
docs/decisions/0018-breakers-by-kind-of-call.md says why no library.
"""

from collections.abc import Callable
from time import monotonic

_FAILURES = 3  # in a row, until it opens
_OPEN_SECONDS = 1.0  # for which it refuses, before one call tries again


class CircuitBreaker:
    """Belongs to one kind of call. Ask `admits` before the call and tell what came of it."""

    def __init__(
        self, clock: Callable[[], float] = monotonic, *, failures: int = _FAILURES, open_seconds: float = _OPEN_SECONDS
    ) -> None:
        self._clock = clock
        self._failures_to_open = failures
        self._open_seconds = open_seconds
        self._failures = 0
        self._open_until = 0.0

    def admits(self, seconds: float) -> bool:
        """Whether a call may be made now. Of those that would try a part left alone, one in `seconds`, its deadline."""
        if self._failures < self._failures_to_open:
            return True
        if self._clock() < self._open_until:
            return False
        self._open_until = self._clock() + seconds
        return True

    def failed(self) -> None:
        """The part did not answer."""
        self._failures += 1
        self._open_until = self._clock() + self._open_seconds

    def half_open(self) -> None:
        """Let the next call try, whatever happened before."""
        self._open_until = 0.0

    def answered(self) -> None:
        """The part answered, if only with an error of its own."""
        self._failures = 0
