"""Cursor pagination: lists are read in one fixed order, a page at a time, and never by counting rows."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar
from uuid import UUID

from chassis.errors import BadRequest

Item = TypeVar("Item")
MAX_PAGE = 100


@dataclass(frozen=True)
class Place:
    """Where a page ends: the moment and id of its last item, the order being newest first."""

    moment: datetime
    id: UUID


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Some items, and where the next page starts when there is one."""

    items: Sequence[Item]
    next: Place | None


def encode_place(place: Place | None) -> str | None:
    """Return the opaque `next` of an answer."""
    if place is None:
        return None
    raw = json.dumps([place.moment.isoformat(), str(place.id)], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_place(cursor: str | None) -> Place | None:
    """Read a `cursor` parameter; raises BadRequest for anything that we did not hand out."""
    if cursor is None:
        return None
    try:
        moment, item = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        at = datetime.fromisoformat(moment)
        if at.tzinfo is None:
            raise ValueError("a moment without its zone")
        return Place(at.astimezone(UTC), UUID(item))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as wrong:
        raise BadRequest("The cursor is not one that this API handed out.", field="cursor") from wrong


def page_of(rows: Sequence[Item], limit: int, place: Callable[[Item], Place]) -> Page[Item]:
    """Cut `rows`, which were read with `limit + 1`, to a page; `place` tells where an item stands."""
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], place(rows[limit - 1]))
