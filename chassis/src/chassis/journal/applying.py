"""Applies events: effects and cursor in one transaction, halving a batch that fails until one event stands alone.

Invariant: the cursor moves only together with the effects of every event that it passes, or with that event being set
aside. Two followers at once waste work and nothing else, because the cursor's row is locked and compared.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from chassis.journal import set_aside
from chassis.journal.chain import Block, SealedRow, Standing
from chassis.journal.received import Handler, Received
from chassis.journal.transient import is_transient
from chassis.work import Work


class Works(Protocol):
    """The part of `chassis.work.Workshop` that is needed here."""

    def begin(self) -> AbstractAsyncContextManager[Work]: ...


class Moved(Exception):
    """The cursor is not where this follower left it: another one was here."""


class Unwell(Exception):
    """The database or the network failed; nothing is said about the events."""


class TooManySetAside(Exception):
    """So many keys are set aside that the handler must be broken; nothing more is applied."""


@dataclass
class AppliedCounts:
    """What was done with events since the start."""

    applied: int = 0
    set_aside: int = 0
    retried: int = 0
    retries_failed: int = 0


_CREATE = "INSERT INTO journal_cursor (source) VALUES ($1) ON CONFLICT DO NOTHING"
_READ = "SELECT block, position, beat, as_of, head, kid, next_kid FROM journal_cursor WHERE source = $1"
_LOCK = f"{_READ} FOR UPDATE"
_MOVE = """
UPDATE journal_cursor SET block = $2, position = $3, beat = $4, as_of = $5, head = $6, kid = $7, next_kid = $8
WHERE source = $1
"""
_BELIEVE = """
UPDATE journal_cursor SET beat = $4, as_of = $5 WHERE source = $1 AND block = $2 AND head = $3 AND beat < $4
"""

Sealed = tuple[Block, Sequence[SealedRow]]


class Applier:
    """Applies one source's events in one consumer's database."""

    def __init__(self, source: str, handler: Handler, works: Works) -> None:
        self._source = source
        self._handler = handler
        self._works = works
        self.counts = AppliedCounts()

    async def load(self) -> Standing:
        """Read where the cursor stands, creating it at the beginning of the journal."""
        async with self._works.begin() as work:
            connection = await work.asyncpg()
            await connection.execute(_CREATE, self._source)
            return Standing(**dict(await connection.fetchrow(_READ, self._source)))

    async def take(self, at: Standing, sealed: Sequence[Sealed]) -> Standing:
        """Apply verified blocks that follow `at`; return where the cursor stands then."""
        end = at
        events: list[Received] = []
        for block, rows in sealed:
            end = end.after(block)
            events += [
                Received(self._source, position, row.topic, row.key, row.body)
                for position, row in enumerate(rows, block.first)
                if position > at.position and row.body is not None
            ]
        return await self._settle(at, events, end)

    async def believe(self, at: Standing, beat: int, as_of: int) -> Standing:
        """Take a heartbeat's time for the block at which the cursor stands."""
        async with self._works.begin() as work:
            connection = await work.asyncpg()
            await connection.execute(_BELIEVE, self._source, at.block, at.head, beat, as_of)
        return replace(at, beat=beat, as_of=as_of)

    async def _settle(self, at: Standing, events: list[Received], end: Standing) -> Standing:
        try:
            return await self._commit(at, events, end)
        except (Moved, TooManySetAside):
            raise
        except Exception as error:
            if is_transient(error):
                raise Unwell(set_aside.describe(error)) from error
            if not events:
                raise
            failure = set_aside.describe(error)
        if len(events) == 1:
            return await self._commit(at, events, end, failure=failure)
        half = len(events) // 2
        # Blocks are closed only by the last piece; until then the position lies beyond them.
        middle = replace(at, position=events[half - 1].position)
        reached = await self._settle(at, events[:half], middle)
        return await self._settle(reached, events[half:], end)

    async def _commit(
        self, at: Standing, events: list[Received], end: Standing, *, failure: str | None = None
    ) -> Standing:
        async with self._works.begin() as work:
            connection = await work.asyncpg()
            await self._lock(connection, at)
            held = await set_aside.keys_held(connection, self._source)
            behind = [event for event in events if event.key in held]
            if behind:
                await set_aside.put(connection, self._source, behind, "waits behind an earlier event", due=False)
            fresh = [event for event in events if event.key not in held]
            if failure is not None and fresh:
                if len(held) >= set_aside.KEYS_MAX:
                    raise TooManySetAside(f"{len(held)} keys of {self._source} are set aside; the last: {failure}")
                await set_aside.put(connection, self._source, fresh, failure, due=True)
            elif fresh:
                await self._handler(work, fresh)
            await connection.execute(_MOVE, self._source, *_fields(end))
        self.counts.set_aside += len(behind) + (len(fresh) if failure is not None else 0)
        self.counts.applied += 0 if failure is not None else len(fresh)
        return end

    async def _lock(self, connection: Any, at: Standing) -> None:
        found = await connection.fetchrow(_LOCK, self._source)
        # A heartbeat may have been taken elsewhere: only the place in the chain is compared.
        if (found["block"], found["position"], found["head"]) != (at.block, at.position, at.head):
            raise Moved(f"the cursor of {self._source} is at block {found['block']}, not {at.block}")

    async def retry_due(self, at: Standing) -> float | None:
        """Try the keys that are due, all or nothing each; return in how many seconds the next one is due."""
        async with self._works.begin() as work:
            due = await set_aside.keys_due(await work.asyncpg(), self._source)
        for key in due:
            await self._retry(at, key)
        async with self._works.begin() as work:
            return await set_aside.next_due_in_s(await work.asyncpg(), self._source)

    async def _retry(self, at: Standing, key: str) -> None:
        first = 0
        try:
            async with self._works.begin() as work:
                connection = await work.asyncpg()
                await self._lock(connection, at)
                events = await set_aside.events_of(connection, self._source, key)
                if not events:
                    return
                first = events[0].position
                await self._handler(work, events)
                await set_aside.take_out(connection, self._source, key)
            self.counts.retried += len(events)
        except Moved:
            raise
        except Exception as error:
            if is_transient(error):
                raise Unwell(set_aside.describe(error)) from error
            if not first:
                raise
            self.counts.retries_failed += 1
            async with self._works.begin() as work:
                await set_aside.failed_again(await work.asyncpg(), self._source, first, set_aside.describe(error))


def _fields(standing: Standing) -> tuple[Any, ...]:
    return (
        *(standing.block, standing.position, standing.beat, standing.as_of),
        *(standing.head, standing.kid, standing.next_kid),
    )
