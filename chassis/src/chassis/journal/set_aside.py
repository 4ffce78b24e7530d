"""Events that could not be applied, and those of the same key that wait behind them.

Invariant: the events of one key are applied in order and each once, also after one of them failed: while a key has a
row here, later events of it come here too, and they leave together.
"""

from collections.abc import Sequence
from typing import Any

from chassis.journal.received import Received

KEYS_MAX = 100
"""More keys than this means that the handler is broken, not the events."""

RETRY_AFTER_S = (0, 4, 16, 64, 256)
"""Then it is up to a person (`operations.retry_set_aside`)."""

ERROR_MAX_CHARACTERS = 2_000

_PUT = """
INSERT INTO journal_set_aside (source, position, topic, key, body, error, due)
SELECT $1, held.position, held.topic, held.key, held.body, $6, CASE WHEN $7 THEN clock_timestamp() END
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bytea[]) AS held (position, topic, key, body)
"""
_KEYS = "SELECT DISTINCT key FROM journal_set_aside WHERE source = $1"
_DUE_KEYS = """
SELECT key FROM journal_set_aside WHERE source = $1 AND due <= clock_timestamp() ORDER BY due, position LIMIT 20
"""
_NEXT_DUE = """
SELECT extract(epoch FROM min(due) - clock_timestamp())::float8 FROM journal_set_aside WHERE source = $1
"""
_OF_KEY = """
SELECT source, position, topic, key, body FROM journal_set_aside WHERE source = $1 AND key = $2 ORDER BY position
"""
_TAKE_OUT = "DELETE FROM journal_set_aside WHERE source = $1 AND key = $2"
_FAILED_AGAIN = """
UPDATE journal_set_aside SET error = $3, tries = tries + 1,
       due = CASE WHEN tries + 1 < cardinality($4::int[])
                  THEN clock_timestamp() + make_interval(secs => ($4::int[])[tries + 2]) END
WHERE source = $1 AND position = $2
"""


def describe(error: BaseException) -> str:
    """Say what failed without the values in it: a database's detail may hold personal data."""
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}"[:ERROR_MAX_CHARACTERS]


async def keys_held(connection: Any, source: str) -> set[str]:
    """Return the keys that have something set aside."""
    return {row["key"] for row in await connection.fetch(_KEYS, source)}


async def put(connection: Any, source: str, events: Sequence[Received], error: str, *, due: bool) -> None:
    """Set events aside; `due` for the one that failed, not for those that wait behind it."""
    columns = ([e.position for e in events], [e.topic for e in events], [e.key for e in events])
    await connection.execute(_PUT, source, *columns, [e.body for e in events], error, due)


async def keys_due(connection: Any, source: str) -> list[str]:
    """Return the keys to be tried again now."""
    return [row["key"] for row in await connection.fetch(_DUE_KEYS, source)]


async def next_due_in_s(connection: Any, source: str) -> float | None:
    """Return in how many seconds the next key is due; None when none is, or only a person can help."""
    seconds = await connection.fetchval(_NEXT_DUE, source)
    return None if seconds is None else float(seconds)


async def events_of(connection: Any, source: str, key: str) -> list[Received]:
    """Return all that is set aside for one key, in order."""
    return [Received._make(row) for row in await connection.fetch(_OF_KEY, source, key)]


async def take_out(connection: Any, source: str, key: str) -> None:
    """Remove a key whose events have all been applied in this transaction."""
    await connection.execute(_TAKE_OUT, source, key)


async def failed_again(connection: Any, source: str, position: int, error: str) -> None:
    """Count one more failure of the event that the key waits for and set the next time."""
    await connection.execute(_FAILED_AGAIN, source, position, error, list(RETRY_AFTER_S))
