"""Quotas per client, person and network address, and the bound on requests under way.

Invariant: memory is bounded whatever callers send, and a refusal costs less than what it saves.
"""

from gateway.refusals import Overloaded, QuotaUsedUp


class Buckets:
    """Token buckets of one kind, kept as one number a key (GCRA, ITU-T I.371): when the bucket is full again.

    A key whose time has passed is as good as unknown, so two generations are enough: every `burst / rate` seconds
    the older one is dropped. More keys than `remembered` drop it earlier; then some callers start anew.
    """

    __slots__ = ("_burst_s", "_current", "_interval_s", "_older", "_remembered", "_turned_s")

    def __init__(self, *, rate: float, burst: int, remembered: int) -> None:
        self._interval_s = 1.0 / rate
        self._burst_s = burst / rate
        self._remembered = max(1, remembered // 2)
        self._current: dict[str, float] = {}
        self._older: dict[str, float] = {}
        self._turned_s = 0.0

    def take(self, key: str, now_s: float) -> float:
        """Take one; returns 0.0, or the seconds until one is there."""
        if now_s - self._turned_s > self._burst_s or len(self._current) >= self._remembered:
            self._turn(now_s)
        full_at_s = self._current.get(key)
        if full_at_s is None:
            full_at_s = self._older.get(key, 0.0)
        full_at_s = max(full_at_s, now_s) + self._interval_s
        wait_s = full_at_s - now_s - self._burst_s
        if wait_s > 1e-9:
            return wait_s
        self._current[key] = full_at_s
        return 0.0

    def wait_s(self, key: str, now_s: float) -> float:
        """Say how long until one is there, without taking it."""
        full_at_s = self._current.get(key) or self._older.get(key, 0.0)
        return max(0.0, full_at_s + self._interval_s - now_s - self._burst_s)

    def take_or_refuse(self, key: str, now_s: float) -> None:
        """Take one; QuotaUsedUp when there is none."""
        wait_s = self.take(key, now_s)
        if wait_s:
            raise QuotaUsedUp(retry_after_s=retry_after_s(wait_s))

    def __len__(self) -> int:
        return len(self._current) + len(self._older)

    def _turn(self, now_s: float) -> None:
        self._older = self._current
        self._current = {}
        self._turned_s = now_s


def retry_after_s(wait_s: float) -> int:
    """Round up to the whole seconds of `Retry-After`, at least 1."""
    return max(1, int(wait_s) + (wait_s > int(wait_s)))


class Doorkeeper:
    """Counts the requests under way, in all and to each service; a slow service cannot fill the whole door."""

    __slots__ = ("_bound", "_bound_service", "in_flight", "services")

    def __init__(self, *, bound: int, bound_service: int) -> None:
        self._bound = bound
        self._bound_service = bound_service
        self.in_flight = 0
        self.services: dict[str, int] = {}

    def enter(self, service: str) -> None:
        """Let one in; Overloaded when there is no room, and then nothing has been counted."""
        there = self.services.get(service, 0)
        if self.in_flight >= self._bound or there >= self._bound_service:
            raise Overloaded(retry_after_s=1)
        self.in_flight += 1
        self.services[service] = there + 1

    def leave(self, service: str) -> None:
        """One that was let in is done."""
        self.in_flight -= 1
        self.services[service] -= 1
