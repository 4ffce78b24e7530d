"""Which failures say nothing about an event: the same work may succeed a moment later.

Invariant: a lost connection or a deadlock is never counted against an event, and a handler's mistake always is.
"""

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_CLASSES = ("08", "40", "53", "55", "57", "58")
_QUERY_CANCELED = "57014"  # statement_timeout: the handler is too slow
_IDLE_IN_TRANSACTION = "25P03"


def is_transient(error: BaseException) -> bool:
    """Whether a database or network failure, not the event, made this fail."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if _says_so(link):
            return True
        link = getattr(link, "orig", None) or link.__cause__
    return False


def _says_so(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError | PoolTimeout):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state == _IDLE_IN_TRANSACTION or (state[:2] in _CLASSES and state != _QUERY_CANCELED)
    # A session that is ended in the middle of a statement leaves asyncpg's own state machine behind.
    if isinstance(error, asyncpg.InternalClientError):
        return "cannot switch to state" in str(error)
    # An InterfaceError is both a lost connection and a handler's mistake; asyncpg words the first one so.
    return isinstance(error, asyncpg.InterfaceError) and "closed" in str(error)
