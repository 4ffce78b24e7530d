"""A circuit breaker: after enough failures in a row, refuse at once for a while instead of waiting every time."""

import time
from collections.abc import Callable


class CircuitBreaker:
    """Closed until `failures` in a row; then open for `pause_s`, after which one call may try."""

    def __init__(
        self, *, failures: int = 5, pause_s: float = 5.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._pause_s = pause_s
        self._monotonic = monotonic
        self._in_a_row = 0
        self._open_until = 0.0

    def lets_through(self) -> bool:
        """Whether a call may be made now; the first after a pause is the trial, others wait for its outcome."""
        if self._in_a_row < self._limit:
            return True
        now = self._monotonic()
        if now < self._open_until:
            return False
        self._open_until = now + self._pause_s
        return True

    def succeeded(self) -> None:
        """The call came back; close."""
        self._in_a_row = 0

    def failed(self) -> None:
        """The call did not come back; open when it was one too many."""
        self._in_a_row += 1
        if self._in_a_row >= self._limit:
            self._open_until = self._monotonic() + self._pause_s
