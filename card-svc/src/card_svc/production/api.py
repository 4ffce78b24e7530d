"""The routes by which an operator has cards produced."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from card_svc.production.domain import BATCH_MAX, Batch
from card_svc.production.store import BatchStore
from card_svc.production.use_cases import order_batch
from chassis.idempotency import once
from chassis.web.guard import Keyed, TheCaller
from chassis.web.models import RequestModel, ResponseModel
from chassis.web.work import TheWork

router = APIRouter(tags=["production"])


class OrderBatch(RequestModel):
    """How many cards at most."""

    limit: int = Field(BATCH_MAX, ge=1, le=BATCH_MAX, strict=True)


class BatchModel(ResponseModel):
    """A production batch (制卡批次)."""

    batch: UUID
    state: str = Field(description="waiting = not sent yet, sent = being made, done = every card dispatched.")
    cards: int


def _model(batch: Batch) -> BatchModel:
    return BatchModel(batch=batch.id, state=batch.state.value, cards=batch.cards)


@router.post("/v1/production-batches", operation_id="card.produce", status_code=202)
async def produce(body: OrderBatch, work: TheWork, _caller: TheCaller, request: Keyed) -> BatchModel:
    """Take the cards that were applied for into production; the card maker is told within seconds."""

    async def create() -> tuple[UUID, Any]:
        batch = await order_batch(work, body.limit)
        return batch.id, batch

    return _model(await once(work, request, create, BatchStore(work.session).read))


@router.get("/v1/production-batches/{batch}", operation_id="card.read_batch")
async def read_batch(batch: UUID, work: TheWork) -> BatchModel:
    """Say how far a batch is."""
    return _model(await BatchStore(work.session).read(batch))
