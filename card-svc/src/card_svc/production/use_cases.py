"""Producing cards: order a batch, send it to the card maker, notice that it was dispatched.

No transaction is open while the card maker or identity-svc is asked.
"""

from dataclasses import replace
from uuid import UUID

import structlog

from card_svc.lifecycle.domain import State, Step
from card_svc.lifecycle.use_cases import move_card
from card_svc.production.adapters import CardMaker, Names
from card_svc.production.domain import BATCH_MAX, Batch, BatchState, NothingToProduce, Plate, next_call
from card_svc.production.store import BatchStore
from chassis.errors import Unavailable
from chassis.work import Work, Workshop

_log = structlog.get_logger(__name__)


async def order_batch(work: Work, limit: int = BATCH_MAX) -> Batch:
    """Take cards that were applied for into production; raises NothingToProduce."""
    batches = BatchStore(work.session)
    cards = await batches.cards_to_produce(min(limit, BATCH_MAX))
    if not cards:
        raise NothingToProduce
    batch = await batches.add(work.new_id(), cards, work.now)
    for card in cards:
        await move_card(work, card, Step.PRODUCE)
    return batch


async def pursue_due_batches(workshop: Workshop, maker: CardMaker, names: Names) -> int:
    """Take every batch that is due one step further; a card maker that is down makes it wait longer each time."""
    async with workshop.begin() as work:
        due = await BatchStore(work.session).due(work.now)
    for batch in due:
        try:
            await _pursue(workshop, maker, names, batch)
        except Unavailable as down:
            _log.warning("card maker not reached", batch=str(batch.id), tries=batch.tries + 1, why=down.detail)
            await _wait(workshop, replace(batch, tries=batch.tries + 1))
    return len(due)


async def _pursue(workshop: Workshop, maker: CardMaker, names: Names, batch: Batch) -> None:
    if batch.state is BatchState.WAITING:
        await maker.make(batch.id, await _plates(workshop, names, batch.id))
        await _wait(workshop, replace(batch, state=BatchState.SENT, tries=0))
    elif await maker.is_dispatched(batch.id):
        await _dispatch(workshop, batch)
    else:
        await _wait(workshop, replace(batch, tries=0))


async def _plates(workshop: Workshop, names: Names, batch_id: UUID) -> list[Plate]:
    async with workshop.begin() as work:
        cards = await BatchStore(work.session).cards_of(batch_id)
    known = await names.reveal([card.citizen for card in cards])
    return [Plate(card.handle, *known[card.citizen]) for card in cards]


async def _wait(workshop: Workshop, batch: Batch) -> None:
    async with workshop.begin() as work:
        await BatchStore(work.session).save(replace(batch, due=work.now + next_call(batch.tries)))


async def _dispatch(workshop: Workshop, batch: Batch) -> None:
    async with workshop.begin() as work:
        batches = BatchStore(work.session)
        for card in await batches.cards_of(batch.id):
            if card.state == State.IN_PRODUCTION:  # another replica may have been here before
                await move_card(work, card.id, Step.DISPATCH)
        await batches.save(replace(batch, state=BatchState.DONE))
