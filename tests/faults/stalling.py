"""A commit that takes long: the backend of a transaction that has written journal rows is stopped for a moment.

That is what a disk that hangs or a machine that pauses does, and it is what the journal's horizon must wait for.
Invariant: a backend that was stopped is continued, whatever happens, and it is one of the attacked cell's.
"""

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import Any

import asyncpg

from tests.faults.cell import AttackedCell, parent_of

STALLED_FOR_S = 1.0
LOOKS_FOR_S = 8.0
WRITERS = """
SELECT lock.pid FROM pg_locks AS lock JOIN pg_stat_activity AS session ON session.pid = lock.pid
WHERE lock.locktype = 'relation' AND lock.mode = 'RowExclusiveLock' AND lock.granted
  AND lock.relation = 'journal_row'::regclass AND session.datname = current_database()
  AND session.state = 'idle in transaction'
"""
# Between INSERT and COMMIT. One that is stopped while it flushes would keep everybody else from committing as well.


def stall_writer(cell: AttackedCell, service: str) -> bool:
    """Catch a writer of this service's journal in its transaction and hold it for a while; whether one was caught."""
    try:
        return asyncio.run(_stall(cell, service))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False  # the database was killed or stood still meanwhile


async def _stall(cell: AttackedCell, service: str) -> bool:
    connection = await asyncpg.connect(cell.database_url(service), timeout=5.0)
    try:
        until = time.monotonic() + LOOKS_FOR_S
        while time.monotonic() < until:
            for row in await connection.fetch(WRITERS, timeout=2.0):
                if parent_of(row["pid"]) == cell.process("PostgreSQL") and await _held(connection, row["pid"]):
                    return True
    finally:
        with suppress(TimeoutError):
            await connection.close(timeout=2.0)
    return False


async def _held(connection: Any, pid: int) -> bool:
    """Stop a backend, see whether that was in time, hold it if it was, and let it go on."""
    os.kill(pid, signal.SIGSTOP)
    try:
        caught = pid in [row["pid"] for row in await connection.fetch(WRITERS, timeout=2.0)]
        if caught:
            await asyncio.sleep(STALLED_FOR_S)
        return caught
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
