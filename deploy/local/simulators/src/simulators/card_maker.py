"""The card maker (制卡商): takes batches of cards to make, and sends each batch off after a while.

Invariant: a batch is taken once, whatever is repeated or restarted. Names and numbers are read for the answer alone;
only card ids, serial numbers and a hash of the order are kept.
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
from simulators.modes import Faults, Mode, add_mode_routes, delay_answer, fall_silent

SPOILED_ENDING = "损"
LATE = timedelta(seconds=10)

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class BatchState(StrEnum):
    """How far a batch is."""

    ACCEPTED = "accepted"
    DISPATCHED = "dispatched"


class PlateOrder(BaseModel):
    """One card to make, with what is printed on it."""

    model_config = ConfigDict(extra="forbid")

    card: Id
    name: Text
    document_number: Text


class BatchOrder(BaseModel):
    """Cards to make together."""

    model_config = ConfigDict(extra="forbid")

    batch: Id
    plates: list[PlateOrder] = Field(min_length=1, max_length=5_000)


class PlateShown(BaseModel):
    """One card of a batch; it has its serial number once it has been made."""

    card: str
    serial: str | None


class BatchShown(BaseModel):
    """A batch, now."""

    batch: str
    state: BatchState
    plates: list[PlateShown]


@dataclass(frozen=True)
class Batch:
    """A batch as it was taken; when it is due, all its cards have been sent off."""

    due_at: datetime
    digest: str
    serials: dict[str, str]
    """Card -> serial number."""


class Factory:
    """Every batch that was ever taken."""

    def __init__(self, lines: LineFile, clock: Callable[[], datetime], cell: str) -> None:
        self._lines = lines
        self._clock = clock
        self._prefix = cell[:2]
        self._batches: dict[str, Batch] = {}
        self._made = 0
        for line in lines.read():
            self._keep(line)

    def take(self, order: BatchOrder, delay: timedelta) -> BatchShown:
        """Take a batch, once; 409 when its id stands for another."""
        digest = hashlib.sha256(order.model_dump_json().encode()).hexdigest()
        known = self._batches.get(order.batch)
        if known is None:
            first = self._made + 1
            cards = enumerate((plate.card for plate in order.plates), first)
            line = {
                "batch": order.batch,
                "due_at": (self._clock() + delay).isoformat(),
                "digest": digest,
                "serials": {card: f"{self._prefix}{number:010}" for number, card in cards},
            }
            self._lines.append(line)
            self._keep(line)
        elif known.digest != digest:
            raise HTTPException(409, {"reason": "id-reused"})
        return self.show(order.batch)

    def show(self, name: str) -> BatchShown:
        """Say how far a batch is; 404 when it never arrived."""
        batch = self._batches.get(name)
        if batch is None:
            raise HTTPException(404, {"reason": "batch-unknown"})
        done = batch.due_at <= self._clock()
        plates = [PlateShown(card=card, serial=serial if done else None) for card, serial in batch.serials.items()]
        return BatchShown(batch=name, state=BatchState.DISPATCHED if done else BatchState.ACCEPTED, plates=plates)

    def _keep(self, line: dict[str, Any]) -> None:
        self._batches[line["batch"]] = Batch(datetime.fromisoformat(line["due_at"]), line["digest"], line["serials"])
        self._made += len(line["serials"])


def card_maker_routes(lines: LineFile, clock: Callable[[], datetime], cell: str, delay_s: float) -> APIRouter:
    """Routes under /card-maker."""
    known = {Mode.SLOW, Mode.DOWN, Mode.SILENT, Mode.LOST, Mode.LATE, Mode.DUPLICATE, Mode.WRONG}
    faults = Faults("card-maker", frozenset(known))
    factory = Factory(lines, clock, cell)
    router = APIRouter(prefix="/card-maker", tags=["card maker"])
    add_mode_routes(router, faults)

    @router.post("/batches", status_code=202)
    async def order_batch(order: BatchOrder, request: Request) -> BatchShown:
        spoiled = any(plate.name.endswith(SPOILED_ENDING) for plate in order.plates)
        mode = faults.take(Mode.LATE if spoiled else Mode.NORMAL)
        if mode is Mode.LOST:
            await fall_silent(request)
        taken = factory.take(order, timedelta(seconds=delay_s) + (LATE if mode is Mode.LATE else timedelta()))
        await delay_answer(mode, request)
        if mode is Mode.DUPLICATE:
            raise HTTPException(409, {"reason": "duplicate-batch"})
        return taken.model_copy(update={"batch": "somebody-elses"}) if mode is Mode.WRONG else taken

    @router.get("/batches/{batch}")
    async def read_batch(batch: Id, request: Request) -> BatchShown:
        mode = faults.take()
        if mode is Mode.LOST:
            await fall_silent(request)
        await delay_answer(mode, request)
        return factory.show(batch)

    return router
