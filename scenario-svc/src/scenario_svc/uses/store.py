"""The tables of uses, redemptions and known cards, and the only SQL that touches them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.journal.freshness import columns as freshness_columns
from chassis.pagination import Page, Place, page_of
from contracts.events.card import CardEvent
from scenario_svc.uses.domain import CardUse, CodeAlreadyUsed, KnownCard, Refund, UseNotFound, UseState

_USE = (
    "card_use.id, card_use.citizen, card_use.card, card_use.venue, card_use.terminal, card_use.scenario,"
    " card_use.amount_fen, card_use.refunded_fen, card_use.state, card_use.refusal, card_use.version,"
    " card_use.created_at"
)
_INSERT = text(
    "INSERT INTO card_use (id, citizen, card, venue, terminal, scenario, amount_fen, refunded_fen, state, refusal,"
    " version, created_at, due) VALUES (:id, :citizen, :card, :venue, :terminal, :scenario, :amount_fen, :refunded_fen,"
    " :state, :refusal, :version, :created_at, :due)"
)
_REDEEM = text(
    "INSERT INTO redemption (code_id, card_use, redeemed_at) VALUES (:code_id, :use, :now)"
    " ON CONFLICT (code_id) DO NOTHING RETURNING code_id"
)
_READ = text(f"SELECT {_USE} FROM card_use WHERE id = :id")
_LOCK = text(f"SELECT {_USE} FROM card_use WHERE id = :id FOR UPDATE")
_LOCK_MANY = text(f"SELECT {_USE} FROM card_use WHERE id = ANY(:ids) ORDER BY id FOR UPDATE")
_UPDATE = text(
    "UPDATE card_use SET refunded_fen = :refunded_fen, state = :state, refusal = :refusal, version = :version"
    " WHERE id = :id"
)
_LIST = text(
    f"SELECT {_USE} FROM card_use WHERE citizen = :citizen"
    " AND (CAST(:moment AS timestamptz) IS NULL OR (created_at, id) < (:moment, :id))"
    " ORDER BY created_at DESC, id DESC LIMIT :limit"
)
_DUE = text(
    f"SELECT {_USE} FROM card_use WHERE state = 'open' AND due <= :now ORDER BY due LIMIT :limit FOR UPDATE SKIP LOCKED"
)
_POSTPONE = text("UPDATE card_use SET due = :due WHERE id = ANY(:ids)")
_PROMISED = text("SELECT coalesce(sum(amount_fen), 0) FROM refund WHERE card_use = :use AND state <> 'refused'")
_INSERT_REFUND = text(
    "INSERT INTO refund (id, card_use, amount_fen, state, created_at, due)"
    " VALUES (:id, :use, :amount_fen, :state, :created_at, :due)"
)
_READ_REFUND = text("SELECT id, card_use, amount_fen, state, created_at FROM refund WHERE id = :id")
_CLOSE_REFUND = text("UPDATE refund SET state = :state WHERE id = :id AND state = 'open'")
_DUE_REFUNDS = text(
    "SELECT id, card_use, amount_fen, state, created_at FROM refund WHERE state = 'open' AND due <= :now"
    " ORDER BY due LIMIT :limit FOR UPDATE SKIP LOCKED"
)
_POSTPONE_REFUNDS = text("UPDATE refund SET due = :due WHERE id = ANY(:ids)")
_KNOWN = text(
    "SELECT known_card.card, known_card.citizen, known_card.state, known_card.level, known_card.version,"
    f" {freshness_columns('card', 'known_card.card::text')}"
    " FROM known_card WHERE known_card.handle = :handle"
)
_KNOW = text(
    "INSERT INTO known_card (card, handle, citizen, state, level, version)"
    " SELECT * FROM unnest(CAST(:card AS uuid[]), CAST(:handle AS uuid[]), CAST(:citizen AS uuid[]),"
    " CAST(:state AS text[]), CAST(:level AS smallint[]), CAST(:version AS int[]))"
    " ON CONFLICT (card) DO UPDATE SET state = excluded.state, level = excluded.level, version = excluded.version"
    " WHERE known_card.version < excluded.version"
)


class UseStore:
    """Uses, their redemptions and refunds."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, use: CardUse, code_id: bytes, due: datetime) -> None:
        """Insert a use and redeem its code; raises CodeAlreadyUsed when another use was first."""
        values = {name: getattr(use, name) for name in _FIELDS} | {"state": use.state.value, "due": due}
        await self._session.execute(_INSERT, values)
        redeemed = await self._session.scalar(_REDEEM, {"code_id": code_id, "use": use.id, "now": use.created_at})
        if redeemed is None:
            raise CodeAlreadyUsed

    async def read(self, use_id: UUID) -> CardUse:
        """Return a use; raises UseNotFound."""
        return await self._one(_READ, use_id)

    async def get(self, use_id: UUID) -> CardUse:
        """Return a use, locked for a change; raises UseNotFound."""
        return await self._one(_LOCK, use_id)

    async def get_many(self, use_ids: Sequence[UUID]) -> dict[UUID, CardUse]:
        """Return and lock those uses that exist, in the order of their ids so that two batches cannot deadlock."""
        rows = await self._session.execute(_LOCK_MANY, {"ids": list(use_ids)})
        return {row.id: _use(row) for row in rows}

    async def save(self, use: CardUse) -> None:
        """Write what became of a use."""
        values = {name: getattr(use, name) for name in ("id", "refunded_fen", "refusal", "version")}
        await self._session.execute(_UPDATE, values | {"state": use.state.value})

    async def list_of(self, citizen: UUID, after: Place | None, limit: int) -> Page[CardUse]:
        """Return a page of a citizen's uses, newest first."""
        names = {"citizen": citizen, "limit": limit + 1}
        names |= {"moment": after.moment if after else None, "id": after.id if after else None}
        uses = [_use(row) for row in await self._session.execute(_LIST, names)]
        return page_of(uses, limit, lambda use: Place(use.created_at, use.id))

    async def take_due(self, now: datetime, again: datetime, limit: int) -> list[CardUse]:
        """Return open uses whose charge is to be pursued now, and put them off until `again`."""
        uses = [_use(row) for row in await self._session.execute(_DUE, {"now": now, "limit": limit})]
        await self._session.execute(_POSTPONE, {"due": again, "ids": [use.id for use in uses]})
        return uses

    async def promised_refunds(self, use_id: UUID) -> int:
        """Return the sum of a use's refunds that are confirmed or may yet be, in fen."""
        return int(await self._session.scalar(_PROMISED, {"use": use_id}) or 0)

    async def add_refund(self, refund: Refund, due: datetime) -> None:
        """Insert a refund."""
        await self._session.execute(_INSERT_REFUND, vars(refund) | {"due": due})

    async def read_refund(self, refund_id: UUID) -> Refund:
        """Return a refund by its id."""
        return _refund((await self._session.execute(_READ_REFUND, {"id": refund_id})).one())

    async def close_refund(self, refund_id: UUID, state: str) -> None:
        """Write how an open refund ended; one that has ended stays as it is."""
        await self._session.execute(_CLOSE_REFUND, {"id": refund_id, "state": state})

    async def take_due_refunds(self, now: datetime, again: datetime, limit: int) -> list[Refund]:
        """Return open refunds that are to be pursued now, and put them off until `again`."""
        refunds = [_refund(row) for row in await self._session.execute(_DUE_REFUNDS, {"now": now, "limit": limit})]
        await self._session.execute(_POSTPONE_REFUNDS, {"due": again, "ids": [refund.id for refund in refunds]})
        return refunds

    async def _one(self, statement: Any, use_id: UUID) -> CardUse:
        row = (await self._session.execute(statement, {"id": use_id})).one_or_none()
        if row is None:
            raise UseNotFound
        return _use(row)


class KnownCards:
    """What this service knows of card-svc's cards."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def by_handle(self, handle: UUID) -> KnownCard | None:
        """Return a card with age and certainty of the same moment, or None when it was never heard of."""
        row = (await self._session.execute(_KNOWN, {"handle": handle})).one_or_none()
        if row is None:
            return None
        return KnownCard(
            card=row.card,
            citizen=row.citizen,
            state=row.state,
            level=row.level,
            version=row.version,
            age_s=row.age_s,
            unknown=row.unknown,
        )

    async def know(self, cards: Sequence[CardEvent]) -> None:
        """Keep the newest version of each card, in one statement."""
        newest = list({card.card: card for card in cards}.values())
        fields = ("card", "handle", "citizen", "state", "level", "version")
        await self._session.execute(_KNOW, {name: [getattr(card, name) for card in newest] for name in fields})


_FIELDS = (
    "id",
    "citizen",
    "card",
    "venue",
    "terminal",
    "scenario",
    "amount_fen",
    "refunded_fen",
    "refusal",
    "version",
    "created_at",
)


def _use(row: Row[Any]) -> CardUse:
    return CardUse(**{name: getattr(row, name) for name in _FIELDS}, state=UseState(row.state))


def _refund(row: Row[Any]) -> Refund:
    return Refund(id=row.id, use=row.card_use, amount_fen=row.amount_fen, state=row.state, created_at=row.created_at)
