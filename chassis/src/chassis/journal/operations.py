"""What an operator does with events that were set aside: look at them, and have them tried again.

Invariant: nothing here applies, skips or changes an event; the follower alone does, in its own transaction.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

PAGE_MAX = 200


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """One event that has not been applied, without its body, which may tell about a person."""

    source: str
    position: int
    topic: str
    key: str
    error: str
    tries: int
    due: datetime | None  # when it is tried next; None: it waits behind another one, or for a person


_LIST = """
SELECT source, position, topic, key, error, tries, due FROM journal_set_aside
WHERE (source, position) > ($1, $2) AND ($3::text IS NULL OR source = $3)
ORDER BY source, position LIMIT $4
"""
_RETRY = """
UPDATE journal_set_aside SET tries = 0, due = clock_timestamp()
WHERE source = $1 AND position = (SELECT min(position) FROM journal_set_aside WHERE source = $1 AND key = $2)
RETURNING position
"""


async def list_set_aside(
    connection: Any, *, source: str | None = None, after: tuple[str, int] = ("", 0), limit: int = 100
) -> list[SetAside]:
    """List what is set aside, by source and position; go on with `after` = those of the last one."""
    rows = await connection.fetch(_LIST, *after, source, min(limit, PAGE_MAX))
    return [SetAside(**dict(row)) for row in rows]


async def retry_set_aside(connection: Any, source: str, key: str) -> bool:
    """Make a key due now, with all tries before it again; whether it had anything set aside.

    The follower looks within about a second.
    """
    return await connection.fetchval(_RETRY, source, key) is not None
