"""The tables of a card's life, and the only SQL that touches them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from card_svc.lifecycle.domain import Card, CardExists, CardNotFound, NoStateThen, SignedCard, State
from contracts.events.identity import PersonEnrolled

_COLUMNS = "card.id, card.handle, card.citizen, card.state, card.level, card.area, card.version, card.changed_at"

_BY_ID = text(f"SELECT {_COLUMNS} FROM card WHERE id = :id FOR UPDATE")
_BY_HANDLE = text(f"SELECT {_COLUMNS} FROM card WHERE handle = :handle")
_LIVING = text(
    f"SELECT {_COLUMNS} FROM card WHERE citizen = :citizen AND state NOT IN ('cancelled', 'expired') FOR UPDATE"
)
_SIGNED = (
    f"SELECT {_COLUMNS}, sign_number.sign FROM card JOIN sign_number ON sign_number.card = card.id"
    " WHERE sign_number.sign = :sign AND sign_number.client = :client AND card.citizen = :citizen"
)
_READ_SIGNED = text(_SIGNED)
_LOCK_SIGNED = text(_SIGNED + " FOR UPDATE OF card")
_LIST = text(f"SELECT {_COLUMNS} FROM card WHERE citizen = :citizen ORDER BY changed_at DESC, id DESC LIMIT 20")
_INSERT = text(
    "INSERT INTO card (id, handle, citizen, state, level, area, version, changed_at)"
    " VALUES (:id, :handle, :citizen, :state, :level, :area, :version, :changed_at)"
    " ON CONFLICT (citizen) WHERE state NOT IN ('cancelled', 'expired') DO NOTHING RETURNING id"
)
_UPDATE = text("UPDATE card SET state = :state, version = :version, changed_at = :changed_at WHERE id = :id")
_REMEMBER = text(
    "INSERT INTO card_history (card, version, state, since, reason) VALUES (:id, :version, :state, :since, :reason)"
)
_STATE_AT = text("SELECT state FROM card_history WHERE card = :card AND since <= :moment ORDER BY version DESC LIMIT 1")
_SIGN = text(
    "INSERT INTO sign_number (sign, client, card) VALUES (:sign, :client, :card) ON CONFLICT (client, card) DO NOTHING"
)
_SIGN_OF = text("SELECT sign FROM sign_number WHERE client = :client AND card = :card")
_HOLDER_AREA = text("SELECT area FROM holder WHERE citizen = :citizen")
_REMEMBER_HOLDERS = text(
    "INSERT INTO holder (citizen, area, version)"
    " SELECT * FROM unnest(CAST(:citizens AS uuid[]), CAST(:areas AS text[]), CAST(:versions AS int[]))"
    " ON CONFLICT (citizen) DO UPDATE SET area = excluded.area, version = excluded.version"
    " WHERE holder.version < excluded.version"
)


class CardStore:
    """Cards, their past states, and the numbers by which channels know them."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, card_id: UUID) -> Card:
        """Return and lock a card by its internal id."""
        return _card((await self._session.execute(_BY_ID, {"id": card_id})).one())

    async def by_handle(self, handle: UUID) -> Card:
        """Return a card by its handle; raises CardNotFound."""
        row = (await self._session.execute(_BY_HANDLE, {"handle": handle})).one_or_none()
        if row is None:
            raise CardNotFound
        return _card(row)

    async def living_of(self, citizen: UUID) -> Card | None:
        """Return and lock the citizen's one card that has not ended."""
        row = (await self._session.execute(_LIVING, {"citizen": citizen})).one_or_none()
        return _card(row) if row else None

    async def read_signed(self, sign: UUID, *, client: str, citizen: UUID) -> SignedCard:
        """Return the citizen's card that `client` knows as `sign`; raises CardNotFound."""
        return await self._signed(_READ_SIGNED, sign, client, citizen)

    async def get_signed(self, sign: UUID, *, client: str, citizen: UUID) -> SignedCard:
        """Return the same, locked for a change."""
        return await self._signed(_LOCK_SIGNED, sign, client, citizen)

    async def list_of(self, citizen: UUID) -> list[Card]:
        """Return the citizen's newest cards, at most 20: nobody has had more."""
        rows = await self._session.execute(_LIST, {"citizen": citizen})
        return [_card(row) for row in rows]

    async def add(self, card: Card) -> None:
        """Insert a new card; raises CardExists when the citizen has a living one, also one of this very moment."""
        added = await self._session.scalar(_INSERT, _values(card))
        if added is None:
            raise CardExists
        await self._remember(card, None)

    async def save(self, card: Card, *, reason: str | None = None) -> None:
        """Write a card after a step, and remember the step."""
        await self._session.execute(_UPDATE, _values(card))
        await self._remember(card, reason)

    async def state_at(self, card: Card, moment: datetime) -> State:
        """Return the state that held at `moment`; raises NoStateThen before the card's life."""
        state = await self._session.scalar(_STATE_AT, {"card": card.id, "moment": moment})
        if state is None:
            raise NoStateThen
        return State(state)

    async def sign(self, card: Card, *, client: str, new_sign: UUID) -> SignedCard:
        """Return the card as `client` knows it, giving it a number of its own the first time."""
        names = {"client": client, "card": card.id}
        sign = await self._session.scalar(_SIGN_OF, names)
        if sign is None:
            await self._session.execute(_SIGN, names | {"sign": new_sign})
            sign = await self._session.scalar(_SIGN_OF, names)
        return SignedCard(card=card, sign=sign)

    async def area_of_holder(self, citizen: UUID) -> str | None:
        """Return where the citizen lives, or None when identity-svc has not told us yet."""
        area: str | None = await self._session.scalar(_HOLDER_AREA, {"citizen": citizen})
        return area

    async def _signed(self, statement: Any, sign: UUID, client: str, citizen: UUID) -> SignedCard:
        names = {"sign": sign, "client": client, "citizen": citizen}
        row = (await self._session.execute(statement, names)).one_or_none()
        if row is None:
            raise CardNotFound
        return SignedCard(card=_card(row), sign=row.sign)

    async def _remember(self, card: Card, reason: str | None) -> None:
        await self._session.execute(_REMEMBER, _values(card) | {"since": card.changed_at, "reason": reason})


class HolderStore:
    """What card-svc knows of the people who may hold a card."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def remember(self, people: Sequence[PersonEnrolled]) -> None:
        """Keep the newest version of each person, in one statement."""
        newest = {person.citizen: person for person in people}
        await self._session.execute(
            _REMEMBER_HOLDERS,
            {
                "citizens": list(newest),
                "areas": [person.area for person in newest.values()],
                "versions": [person.version for person in newest.values()],
            },
        )


def _card(row: Row[Any]) -> Card:
    return Card(
        id=row.id,
        handle=row.handle,
        citizen=row.citizen,
        state=State(row.state),
        level=row.level,
        area=row.area,
        version=row.version,
        changed_at=row.changed_at,
    )


def _values(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "handle": card.handle,
        "citizen": card.citizen,
        "state": card.state.value,
        "level": card.level,
        "area": card.area,
        "version": card.version,
        "changed_at": card.changed_at,
    }
