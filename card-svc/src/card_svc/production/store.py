"""The tables of production batches, and the only SQL that touches them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from card_svc.production.domain import Batch, BatchNotFound, BatchState

_APPLIED = text(
    "SELECT id FROM card WHERE state = 'applied' ORDER BY changed_at, id LIMIT :limit FOR UPDATE SKIP LOCKED"
)
_INSERT = text(
    "INSERT INTO production_batch (id, state, cards, due, created_at) VALUES (:id, 'waiting', :cards, :now, :now)"
)
_INSERT_CARDS = text(
    "INSERT INTO production_batch_card (batch, card) SELECT :batch, card FROM unnest(CAST(:cards AS uuid[])) AS card"
)
_READ = text("SELECT id, state, cards, tries, due FROM production_batch WHERE id = :id")
_DUE = text(
    "SELECT id, state, cards, tries, due FROM production_batch"
    " WHERE state <> 'done' AND due <= :now ORDER BY due LIMIT 10"
)
_CARDS = text(
    "SELECT card.id, card.handle, card.citizen, card.state FROM production_batch_card AS member"
    " JOIN card ON card.id = member.card WHERE member.batch = :batch ORDER BY card.id"
)
_UPDATE = text("UPDATE production_batch SET state = :state, tries = :tries, due = :due WHERE id = :id")


class BatchStore:
    """Production batches and the cards in them."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def cards_to_produce(self, limit: int) -> list[UUID]:
        """Return and lock cards that were applied for, oldest first, leaving out those another batch is taking."""
        return list((await self._session.scalars(_APPLIED, {"limit": limit})).all())

    async def add(self, batch_id: UUID, cards: list[UUID], now: datetime) -> Batch:
        """Insert a batch that waits to be sent."""
        await self._session.execute(_INSERT, {"id": batch_id, "cards": len(cards), "now": now})
        await self._session.execute(_INSERT_CARDS, {"batch": batch_id, "cards": cards})
        return await self.read(batch_id)

    async def read(self, batch_id: UUID) -> Batch:
        """Return a batch; raises BatchNotFound."""
        row = (await self._session.execute(_READ, {"id": batch_id})).one_or_none()
        if row is None:
            raise BatchNotFound
        return _batch(row)

    async def due(self, now: datetime) -> list[Batch]:
        """Return at most ten batches whose card maker is to be called now."""
        return [_batch(row) for row in await self._session.execute(_DUE, {"now": now})]

    async def cards_of(self, batch_id: UUID) -> list[Row[Any]]:
        """Return id, handle, citizen and state of every card of a batch."""
        return list((await self._session.execute(_CARDS, {"batch": batch_id})).all())

    async def save(self, batch: Batch) -> None:
        """Write how far a batch is."""
        await self._session.execute(
            _UPDATE, {"id": batch.id, "state": batch.state.value, "tries": batch.tries, "due": batch.due}
        )


def _batch(row: Row[Any]) -> Batch:
    return Batch(id=row.id, state=BatchState(row.state), cards=row.cards, tries=row.tries, due=row.due)
