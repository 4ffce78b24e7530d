"""Up to which id every journal row is committed or gone for ever.

Invariant: a horizon settles only when no transaction that held the table's lock at its observation is open any more.
Every INSERT holds that lock from before its id is drawn until its transaction ends (journal.md, section 2), so
nothing can appear below a settled horizon. Rows must be read in a later statement than the settling observation.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

_OBSERVE = """
SELECT coalesce((SELECT max(id) FROM journal_row), 0) AS upto,
       (extract(epoch FROM statement_timestamp()) * 1000000)::bigint AS as_of,
       ARRAY(
           SELECT virtualtransaction FROM pg_locks
           WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
             AND relation = 'journal_row'::regclass
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       ) AS writers
"""

_END_HOLDERS = """
SELECT lock.pid, pg_terminate_backend(lock.pid)
FROM pg_locks AS lock JOIN pg_stat_activity AS session ON session.pid = lock.pid
WHERE lock.locktype = 'relation' AND lock.mode = 'RowExclusiveLock' AND lock.relation = 'journal_row'::regclass
  AND lock.virtualtransaction = ANY ($1::text[])
  AND session.datname = current_database() AND session.usename = current_user AND lock.pid <> pg_backend_pid()
"""


class Horizon(NamedTuple):
    """One observation of the table."""

    upto: int  # the highest id that was visible
    as_of: int  # microseconds; everything confirmed before it is visible at or below upto
    writers: frozenset[str]  # virtual transactions that may still commit ids below upto


async def observe(connection: Any) -> Horizon:
    """Look at the table, its writers and the time, in one statement."""
    seen = await connection.fetchrow(_OBSERVE)
    return Horizon(seen["upto"], seen["as_of"], frozenset(seen["writers"]))


async def end_holders(connection: Any, writers: frozenset[str]) -> list[int]:
    """End the sessions of our own role that keep these transactions open; return their process ids."""
    return [row["pid"] for row in await connection.fetch(_END_HOLDERS, sorted(writers))]


def still_open(waiting: frozenset[str], writers: frozenset[str]) -> frozenset[str]:
    """Which of the transactions waited for are open at a later observation; the attack's planted fault says none."""
    return waiting & writers


class Settling:
    """Turns observations into settled horizons, one waiting at a time."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._pending: Horizon | None = None
        self._since = 0.0
        self.waiting: frozenset[str] = frozenset()

    def settle(self, seen: Horizon) -> Horizon | None:
        """Take an observation in; return the newest horizon that it settles, if any."""
        settled: Horizon | None = None
        if self._pending is not None:
            self.waiting = still_open(self.waiting, seen.writers)
            if self.waiting:
                return None
            settled = self._pending
        open_now = still_open(seen.writers, seen.writers)
        if not open_now:
            self._pending = None
            return seen
        self._pending, self.waiting, self._since = seen, open_now, self._monotonic()
        return settled

    @property
    def age_s(self) -> float:
        """How long the waiting horizon has been held by open writers."""
        return self._monotonic() - self._since if self.waiting else 0.0
