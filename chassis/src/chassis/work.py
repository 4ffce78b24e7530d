"""Work: one transaction, the time at which it happens, and what it says to the world.

Whoever opens a Work commits it; receivers never do. State and journal rows are committed together, journal rows
last, so that an open transaction without them delays nobody (journal.md, section 2).
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from chassis import tracing
from chassis.ids import NewId, uuid7
from chassis.internal_tokens import Caller
from chassis.journal.writing import Row, insert_rows
from chassis.time import Clock
from contracts.events.envelope import Event, encode

_BEGIN = text("SELECT 1")


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something that must be provable later but that nobody follows: an audit row, or a denial."""

    topic: str  # "identity.token.issued.v1"
    key: str  # whom or what it is about: a pseudonymous id
    details: dict[str, Any]  # no names, numbers or phones
    denial: bool = False


class Work:
    """What a use case needs to load, decide, save and say; the same for a request and for a consumed event."""

    def __init__(self, session: AsyncSession, now: datetime, new_id: NewId, caller: Caller | None, source: str) -> None:
        self.session = session
        self.now = now
        self.new_id = new_id
        self.caller = caller
        self._source = source
        self._rows: list[Row] = []
        self._raw: Any = None

    def emit(self, *events: Event) -> None:
        """Promise these events to every follower; call it after the aggregate's row is locked."""
        for event in events:
            body = encode(
                event, event_id=self.new_id(), source=self._source, time=self.now, traceparent=tracing.current()
            )
            self._rows.append(Row(kind="e", topic=event.topic, key=event.key, body=body))

    def record(self, *facts: Fact) -> None:
        """Write facts into the journal that only an auditor reads."""
        for fact in facts:
            entry = {"id": str(self.new_id()), "time": self.now.isoformat(), "by": self._by(), "details": fact.details}
            body = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()
            self._rows.append(Row(kind="d" if fact.denial else "a", topic=fact.topic, key=fact.key, body=body))

    async def asyncpg(self) -> Any:
        """Hand out the raw connection, inside this transaction.

        SQLAlchemy begins with its first own statement; a raw connection used before that would commit by itself.
        """
        if self._raw is None:
            connection = await self.session.connection()
            await self.session.execute(_BEGIN)
            self._raw = (await connection.get_raw_connection()).driver_connection
        return self._raw

    def _by(self) -> dict[str, str]:
        if self.caller is None:
            return {}
        by = {"client": self.caller.client, "citizen": str(self.caller.citizen or ""), "jti": self.caller.jti}
        return {name: value for name, value in by.items() if value}

    async def write_journal(self) -> bool:
        """Write the journal rows as the last statement before the commit; whether there were any."""
        if not self._rows:
            return False
        await self.session.flush()
        await insert_rows(await self.asyncpg(), self._rows)
        return True


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where Works are opened, one for each request or batch of events."""

    engine: AsyncEngine
    clock: Clock
    cell: str
    service: str
    new_id: Callable[[], UUID] = uuid7
    wake: Callable[[], None] = field(default=lambda: None)  # tells the journal's leader in this process

    @property
    def source(self) -> str:
        """The CloudEvents `source` of everything said here."""
        return f"/cells/{self.cell}/{self.service}-svc"

    @asynccontextmanager
    async def begin(self, caller: Caller | None = None) -> AsyncIterator[Work]:
        """Open a Work; commits when the block ends well, rolls back when it raises."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            work = Work(session, self.clock(), self.new_id, caller, self.source)
            yield work
            said = await work.write_journal()
            await session.commit()
        if said:
            self.wake()
