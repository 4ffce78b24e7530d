"""The card maker (制卡商): takes batches of cards to make, and says after a while what became of each.

Invariant: a batch is taken once, whatever is repeated or restarted. Names and numbers are read for the answer alone;
only card ids and a hash of the order are kept.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from simulators.lines import LineFile
from simulators.modes import Faults, Mode, delay_answer, fall_silent, mode_routes

SPOILED_ENDING = "损"
LATE = timedelta(seconds=10)

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class BatchState(StrEnum):
    """How far a batch is."""

    ACCEPTED = "accepted"
    PRODUCED = "produced"


class CardState(StrEnum):
    """What became of one card."""

    WAITING = "waiting"
    PRODUCED = "produced"
    SPOILED = "spoiled"


class CardOrder(BaseModel):
    """One card to make."""

    model_config = ConfigDict(extra="forbid")

    card_id: Id
    name: Text
    document_number: Text


class BatchOrder(BaseModel):
    """Cards to make together."""

    model_config = ConfigDict(extra="forbid")

    batch_id: Id
    cards: list[CardOrder] = Field(min_length=1, max_length=5_000)


class CardShown(BaseModel):
    """One card of a batch, now."""

    card_id: str
    state: CardState
    serial: str | None
    reason: str | None


class BatchShown(BaseModel):
    """A batch, now."""

    batch_id: str
    state: BatchState
    cards: list[CardShown]


@dataclass(frozen=True)
class Batch:
    """A batch as it was taken; what became of its cards is settled then and told when it is due."""

    due_at: datetime
    digest: str
    made: dict[str, str | None]
    """Card id -> serial number, or None for a spoiled card."""


class Workshop:
    """Every batch that was ever taken."""

    def __init__(self, lines: LineFile, clock: Callable[[], datetime], cell: str) -> None:
        self._lines = lines
        self._clock = clock
        self._prefix = cell[:2]
        self._batches: dict[str, Batch] = {}
        self._seen: set[str] = set()
        self._serials = 0
        for line in lines.read():
            self._keep(line)

    def take(self, order: BatchOrder, delay: timedelta, *, spoil: bool = False) -> BatchShown:
        """Take a batch, once; 409 when its id stands for another."""
        digest = hashlib.sha256(order.model_dump_json().encode()).hexdigest()
        known = self._batches.get(order.batch_id)
        if known is None:
            line = {
                "batch_id": order.batch_id,
                "due_at": (self._clock() + delay).isoformat(),
                "digest": digest,
                "made": {card.card_id: self._make(card, spoil) for card in order.cards},
            }
            self._lines.append(line)
            self._keep(line)
        elif known.digest != digest:
            raise HTTPException(409, {"reason": "id-reused"})
        return self.show(order.batch_id)

    def show(self, batch_id: str) -> BatchShown:
        """Say how far a batch is; 404 when it never arrived."""
        batch = self._batches.get(batch_id)
        if batch is None:
            raise HTTPException(404, {"reason": "batch-unknown"})
        done = batch.due_at <= self._clock()
        cards = [_card(card_id, serial, done=done) for card_id, serial in batch.made.items()]
        return BatchShown(batch_id=batch_id, state=BatchState.PRODUCED if done else BatchState.ACCEPTED, cards=cards)

    def _make(self, card: CardOrder, spoil: bool) -> str | None:
        # A spoiled card succeeds at the second try, so that doing it again can be shown.
        if spoil or (card.name.endswith(SPOILED_ENDING) and card.card_id not in self._seen):
            return None
        self._serials += 1
        return f"{self._prefix}{self._serials:010}"

    def _keep(self, line: dict[str, Any]) -> None:
        due_at = datetime.fromisoformat(line["due_at"])
        self._batches[line["batch_id"]] = Batch(due_at, line["digest"], line["made"])
        self._seen.update(line["made"])
        taken = (int(serial[2:]) for serial in line["made"].values() if serial)
        self._serials = max(self._serials, *taken, 0)


def card_maker_routes(lines: LineFile, clock: Callable[[], datetime], cell: str, delay_s: float) -> APIRouter:
    """Routes under /card-maker."""
    known = {Mode.SLOW, Mode.DOWN, Mode.SILENT, Mode.LOST, Mode.LATE, Mode.DUPLICATE, Mode.REFUSED, Mode.WRONG}
    faults = Faults("card-maker", frozenset(known))
    workshop = Workshop(lines, clock, cell)
    router = APIRouter(prefix="/card-maker", tags=["card maker"])
    router.include_router(mode_routes(faults))

    @router.post("/batches", status_code=202)
    async def order_batch(order: BatchOrder, request: Request) -> BatchShown:
        mode = faults.take()
        if mode is Mode.LOST:
            await fall_silent(request)
        delay = timedelta(seconds=delay_s) + (LATE if mode is Mode.LATE else timedelta())
        taken = workshop.take(order, delay, spoil=mode is Mode.REFUSED)
        await delay_answer(mode, request)
        if mode is Mode.DUPLICATE:
            raise HTTPException(409, {"reason": "duplicate-batch"})
        return taken.model_copy(update={"batch_id": "somebody-elses"}) if mode is Mode.WRONG else taken

    @router.get("/batches/{batch_id}")
    async def read_batch(batch_id: Id, request: Request) -> BatchShown:
        await delay_answer(faults.take(), request)
        return workshop.show(batch_id)

    return router


def _card(card_id: str, serial: str | None, *, done: bool) -> CardShown:
    if not done:
        return CardShown(card_id=card_id, state=CardState.WAITING, serial=None, reason=None)
    if serial is None:
        return CardShown(card_id=card_id, state=CardState.SPOILED, serial=None, reason="chip-dead")
    return CardShown(card_id=card_id, state=CardState.PRODUCED, serial=serial, reason=None)
