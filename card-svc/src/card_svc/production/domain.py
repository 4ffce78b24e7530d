"""A production batch: which cards the card maker was asked for, and how far it is.

Invariant: a card is in at most one batch, and the card maker is asked with the batch's own id, so asking twice makes
one set of cards.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from chassis.errors import Conflict, NotFound

BATCH_MAX = 500


class BatchState(StrEnum):
    """How far a batch is."""

    WAITING = "waiting"  # the card maker was not reached yet
    SENT = "sent"  # it has the batch and makes the cards
    DONE = "done"  # every card was dispatched


class NothingToProduce(Conflict):
    """No card is waiting to be produced."""

    code = "nothing-to-produce"


class BatchNotFound(NotFound):
    """There is no such production batch."""

    code = "batch-not-found"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Cards that are made together (制卡批次)."""

    id: UUID
    state: BatchState
    cards: int
    tries: int  # calls to the card maker without an answer, in a row
    due: datetime  # when to call next


@dataclass(frozen=True)
class Plate:
    """What the card maker prints on one card; personal data, never stored here."""

    card: UUID  # the card's handle
    name: str
    document_number: str


def next_call(tries: int) -> timedelta:
    """How long to wait before the card maker is called again: a second, doubling, at most five minutes."""
    return timedelta(seconds=min(300, 2 ** min(tries, 9)))
