"""The outbox of text messages: written in the transaction that needs one, emptied by a loop of its own.

Invariant: a message that was committed is sent at least once or until it is worthless, and its phone and words lie
sealed until then and nowhere afterwards.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.crypto.fields import FieldKeys
from identity_svc.messages.domain import Sms

_INSERT = text(
    "INSERT INTO sms_outbox (id, phone, words, withheld, due_at, worthless_at)"
    " VALUES (:id, :phone, :words, :withheld, :now, :until)"
)
_CLAIM = text(
    "UPDATE sms_outbox SET due_at = :lease, tries = tries + 1 WHERE id IN"
    " (SELECT id FROM sms_outbox WHERE due_at <= :now ORDER BY due_at, id LIMIT :limit FOR UPDATE SKIP LOCKED)"
    " RETURNING id, phone, words, withheld, worthless_at"
)
_POSTPONE = text("UPDATE sms_outbox SET due_at = :due_at WHERE id = :id")
_DELETE = text("DELETE FROM sms_outbox WHERE id = :id")


class SmsOutbox:
    """Messages that are not sent yet."""

    def __init__(self, session: AsyncSession, fields: FieldKeys) -> None:
        self._session = session
        self._fields = fields

    async def add(
        self, message_id: UUID, *, phone: str, words: str, withheld: bool, now: datetime, until: datetime
    ) -> None:
        """Queue a message; a withheld one costs the same and is never sent."""
        values: Mapping[str, Any] = {
            "id": message_id,
            "phone": self._fields.seal(phone.encode(), _place(message_id, "phone")),
            "words": self._fields.seal(words.encode(), _place(message_id, "words")),
            "withheld": withheld,
            "now": now,
            "until": until,
        }
        await self._session.execute(_INSERT, values)

    async def claim(self, now: datetime, *, lease: timedelta, limit: int) -> list[Sms]:
        """Take messages that are due; whoever dies with one leaves it to the next when the lease is over."""
        rows = await self._session.execute(_CLAIM, {"now": now, "lease": now + lease, "limit": limit})
        return [
            Sms(
                id=row.id,
                phone=self._fields.open(row.phone, _place(row.id, "phone")).decode(),
                words=self._fields.open(row.words, _place(row.id, "words")).decode(),
                to_be_sent=not row.withheld and row.worthless_at > now,
            )
            for row in rows
        ]

    async def postpone(self, message_id: UUID, due_at: datetime) -> None:
        """Have a message that was not taken tried again."""
        await self._session.execute(_POSTPONE, {"id": message_id, "due_at": due_at})

    async def forget(self, message_id: UUID) -> None:
        """Delete a message that is done with."""
        await self._session.execute(_DELETE, {"id": message_id})


def _place(message_id: UUID, name: str) -> bytes:
    return f"sms_outbox:{message_id}:{name}".encode()
