"""The lease by which one process of a service leads its journal.

Invariant: a term is taken by one process only, by a compare-and-set on (term, beat). No clock is shared: a challenger
waits on its own monotonic clock, or not at all when the holder's session is gone or the lease was released. Safety
does not rest on this but on the fence: every write of a leader names its term.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

STANDS_STILL_S = 3.0

_LOOK = """
SELECT term, beat, holder IS NULL
       OR NOT EXISTS (SELECT FROM pg_stat_activity AS session WHERE session.pid = lease.backend) AS free
FROM journal_lease AS lease
"""
_TAKE = """
UPDATE journal_lease SET term = term + 1, beat = beat + 1, holder = $3, backend = pg_backend_pid()
WHERE term = $1 AND beat = $2 RETURNING term, beat
"""
_RENEW = "UPDATE journal_lease SET beat = $2 WHERE term = $1 RETURNING beat"
_RELEASE = "UPDATE journal_lease SET holder = NULL, backend = NULL WHERE term = $1"


class Fenced(Exception):
    """Another process has taken the lease since."""


class Term(NamedTuple):
    """A lease that was taken."""

    term: int
    beat: int  # goes up with every block and heartbeat, across terms


class Lease:
    """One process's view of the lease."""

    def __init__(self, holder: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._holder = holder
        self._monotonic = monotonic
        self._seen: tuple[int, int] | None = None
        self._since = 0.0

    async def try_take(self, connection: Any) -> Term | None:
        """Take the lease if it may be taken now; to be asked again every 100 ms or so."""
        row = await connection.fetchrow(_LOOK)
        seen = (row["term"], row["beat"])
        if seen != self._seen:
            self._seen, self._since = seen, self._monotonic()
        if not row["free"] and self._monotonic() - self._since < STANDS_STILL_S:
            return None
        taken = await connection.fetchrow(_TAKE, *seen, self._holder)
        return Term(taken["term"], taken["beat"]) if taken else None

    @staticmethod
    async def renew(connection: Any, term: int, beat: int) -> None:
        """Show that the leader lives; Fenced when the term is no longer ours."""
        if await connection.fetchval(_RENEW, term, beat) is None:
            raise Fenced(f"Term {term} is over.")

    @staticmethod
    async def release(connection: Any, term: int) -> None:
        """Give the lease back, so that another process need not wait."""
        await connection.execute(_RELEASE, term)
