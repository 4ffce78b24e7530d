"""Connections to a service's own PostgreSQL database, with every wait bounded.

Invariant: no session of ours can hold a lock or a transaction open without end.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

SESSION_BOUNDS = {
    "lock_timeout": "2s",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "2s",
    "transaction_timeout": "20s",
    "timezone": "UTC",
}
"""Set on each session. A stopped process must not keep a cursor or an aggregate locked (journal.md, section 4)."""


def create_engine(url: str, *, pool_size: int = 8) -> AsyncEngine:
    """Return the engine for requests; a request waits at most 2 s for a connection."""
    return create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=2.0,
        pool_pre_ping=False,
        pool_recycle=1800,
        hide_parameters=True,  # what is bound may be about a person, and a statement that fails goes into the log
        connect_args={"timeout": 5.0, "command_timeout": 15.0, "server_settings": SESSION_BOUNDS},
    )


@asynccontextmanager
async def direct_connection(url: str, **settings: str) -> AsyncIterator[Any]:
    """Open one asyncpg connection of its own, outside any pool, and close it afterwards."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain, timeout=5.0, server_settings=SESSION_BOUNDS | settings)
    try:
        yield connection
    finally:
        await connection.close(timeout=2.0)
