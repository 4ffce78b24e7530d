"""Time as an argument: services ask a clock that they were given, so a test can set it.

Invariant: every time is aware and UTC; the business day (Asia/Shanghai) is derived, never stored.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]

BUSINESS_ZONE = ZoneInfo("Asia/Shanghai")


def system_clock(offset_s: float = 0.0) -> Clock:
    """Return the machine's clock, shifted by `offset_s` seconds (for tests; settings refuse it in production)."""
    offset = timedelta(seconds=offset_s)
    return lambda: datetime.now(UTC) + offset


def business_day(moment: datetime) -> date:
    """Return the day on which `moment` falls for courts, banks and insurers."""
    return moment.astimezone(BUSINESS_ZONE).date()
