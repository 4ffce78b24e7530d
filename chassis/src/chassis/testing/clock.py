"""A clock and ids that a test sets: nothing moves unless the test moves it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID


class FixedClock:
    """Stands still at a moment until told to move."""

    def __init__(self, moment: datetime = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def move(self, **by: float) -> None:
        """Go on by a timedelta's arguments, e.g. `move(seconds=61)`."""
        self.moment += timedelta(**by)


class CountedIds:
    """Ids 1, 2, 3 …, in the shape of UUIDv7, so that a test can name them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> UUID:
        self.count += 1
        return UUID(int=0x7 << 76 | 0x2 << 62 | self.count)
