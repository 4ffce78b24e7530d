"""Using a card: read the code, decide from our own knowledge, redeem, charge, and see the charge to its end.

No transaction is open while another service is asked. Whatever happens in between, a use that was begun is closed by
the payment's event, or given up and its charge taken back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import structlog

from chassis.idempotency import KeyedRequest, created_before, once
from chassis.internal_tokens import Caller
from chassis.work import Work, Workshop
from contracts.card_code import VerifiedCode
from scenario_svc.uses.adapters import Cards, ChargeState, Payments
from scenario_svc.uses.domain import (
    CHARGE_AGAIN_AFTER,
    GIVE_UP_AFTER,
    CardUse,
    Facts,
    KnownCard,
    Refund,
    UseNotFound,
    begin_use,
    decide,
    note_refund,
    refuse_refund,
    settle,
)
from scenario_svc.uses.events import use_became, use_refunded
from scenario_svc.uses.store import KnownCards, UseStore
from scenario_svc.venues.domain import Scenario
from scenario_svc.venues.store import VenueStore

Pursued = TypeVar("Pursued", CardUse, Refund)
PURSUED_AT_ONCE = 20

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ShownCode:
    """A verified code together with the handle that was inside."""

    code: VerifiedCode
    handle: UUID


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The services that a use may have to ask."""

    payments: Payments
    cards: Cards


async def use_card(
    workshop: Workshop,
    near: Neighbours,
    caller: Caller,
    request: KeyedRequest,
    *,
    read_code: Callable[[], ShownCode],
    scenario: Scenario,
    amount_fen: int | None,
) -> CardUse:
    """Use a card at the caller's terminal; raises what `read_code` and `decide` refuse, and CodeAlreadyUsed.

    Returns the use: accepted, refused by the charge, or open while the charge is being settled. A repetition returns
    it also when the code has expired meanwhile: whoever was charged must not hear that nothing happened.
    """
    async with workshop.begin(caller) as work:
        before = await created_before(work, request)
        use = await UseStore(work.session).read(before) if before else None
    if use is None:
        shown = read_code()
        asked = await _ask_if_old(workshop, near.cards, shown.handle, scenario)
        async with workshop.begin(caller) as work:

            async def create() -> tuple[UUID, CardUse]:
                begun = await _begin(work, caller, shown, scenario, amount_fen, asked)
                return begun.id, begun

            use = await once(work, request, create, UseStore(work.session).read)
    if use.state != "open":
        return use
    return await _charge(workshop, near.payments, use, caller)


async def _ask_if_old(workshop: Workshop, cards: Cards, handle: UUID, scenario: Scenario) -> KnownCard | None:
    """Ask card-svc when what we know of the card is too old; None when it is not, or nobody answers."""
    async with workshop.begin() as work:
        known = await KnownCards(work.session).by_handle(handle)
    stale = known is None or (known.age_s > scenario.card_max_age_s and not known.unknown)
    return await cards.state_now(handle) if stale else None


async def _begin(
    work: Work, caller: Caller, shown: ShownCode, scenario: Scenario, amount_fen: int | None, asked: KnownCard | None
) -> CardUse:
    known = await KnownCards(work.session).by_handle(shown.handle)
    card = known
    if asked is not None and (known is None or (not known.unknown and asked.version >= known.version)):
        card = asked
    venue = await VenueStore(work.session).of_terminal(caller.client)
    venue, card = decide(scenario, Facts(venue=venue, card=card, amount_fen=amount_fen))
    use = begin_use(
        work.new_id(),
        venue=venue,
        card=card,
        terminal=caller.client,
        scenario=scenario,
        amount_fen=amount_fen,
        now=work.now,
    )
    await UseStore(work.session).add(use, shown.code.code_id, work.now + CHARGE_AGAIN_AFTER)
    work.emit(use_became(use))
    return use


async def _charge(workshop: Workshop, payments: Payments, use: CardUse, caller: Caller | None) -> CardUse:
    charged = await payments.charge(use, caller)
    if charged is None:
        return use
    async with workshop.begin(caller) as work:
        return await _settle(work, use.id, charged)


async def _settle(work: Work, use_id: UUID, charged: ChargeState) -> CardUse:
    uses = UseStore(work.session)
    use = await uses.get(use_id)
    settled = settle(use, charged.state, charged.refusal)
    if settled is not use:
        await uses.save(settled)
        work.emit(use_became(settled))
    return settled


async def pursue_open_uses(workshop: Workshop, payments: Payments) -> int:
    """Charge again what got no answer; past a minute, take the charge back instead."""
    async with workshop.begin() as work:
        due = await UseStore(work.session).take_due(work.now, work.now + CHARGE_AGAIN_AFTER, PURSUED_AT_ONCE)
        now = work.now

    async def pursue(use: CardUse) -> None:
        if now - use.created_at < GIVE_UP_AFTER:
            await _charge(workshop, payments, use, None)
            return
        voided = await payments.void(use)
        if voided is not None:
            async with workshop.begin() as work:
                await _settle(work, use.id, voided)

    await _each(due, pursue)
    return len(due)


async def _each(due: Sequence[Pursued], pursue: Callable[[Pursued], Awaitable[object]]) -> None:
    """Pursue all at once: neither a slow answer to one nor a defect with it holds up the others."""
    ends = await asyncio.gather(*(pursue(item) for item in due), return_exceptions=True)
    for item, wrong in zip(due, ends, strict=True):
        if isinstance(wrong, Exception):
            _log.warning("not pursued", kind=type(item).__name__, id=str(item.id), exc_info=wrong)


async def read_use(work: Work, caller: Caller, use_id: UUID) -> CardUse:
    """Return a use to the terminal that made it or to the citizen; to anyone else it is not found."""
    use = await UseStore(work.session).read(use_id)
    if caller.citizen == use.citizen or (caller.citizen is None and caller.client == use.terminal):
        return use
    raise UseNotFound


async def refund_use(
    workshop: Workshop, near: Neighbours, caller: Caller, request: KeyedRequest, *, use_id: UUID, amount_fen: int
) -> Refund:
    """Give part of a charge back; raises UseNotFound, UseNotRefundable, RefundTooHigh."""
    async with workshop.begin(caller) as work:
        uses = UseStore(work.session)

        async def create() -> tuple[UUID, Refund]:
            use = await uses.get(use_id)
            if use.terminal != caller.client:
                raise UseNotFound
            refuse_refund(use, amount_fen, await uses.promised_refunds(use_id))
            refund = Refund(id=work.new_id(), use=use_id, amount_fen=amount_fen, state="open", created_at=work.now)
            await uses.add_refund(refund, work.now + CHARGE_AGAIN_AFTER)
            return refund.id, refund

        refund = await once(work, request, create, uses.read_refund)
    return refund if refund.state != "open" else await _pursue_refund(workshop, near.payments, refund, caller)


async def pursue_open_refunds(workshop: Workshop, payments: Payments) -> int:
    """Ask again for refunds that got no answer, until one comes."""
    async with workshop.begin() as work:
        due = await UseStore(work.session).take_due_refunds(work.now, work.now + timedelta(seconds=10), PURSUED_AT_ONCE)
    await _each(due, lambda refund: _pursue_refund(workshop, payments, refund, None))
    return len(due)


async def _pursue_refund(workshop: Workshop, payments: Payments, refund: Refund, caller: Caller | None) -> Refund:
    state = await payments.refund(refund, caller)
    if state is None:
        return refund
    async with workshop.begin(caller) as work:
        await UseStore(work.session).close_refund(refund.id, state)
    return replace(refund, state=state)


@dataclass(frozen=True)
class PaymentNews:
    """What an event of payment-svc says about the use behind it."""

    use: UUID
    state: str
    refusal: str | None
    refunded_fen: int
    ended_refund: tuple[UUID, str] | None = None  # a refund of the use, and how it ended


async def take_payment_news(work: Work, news: list[PaymentNews]) -> None:
    """Close uses and refunds by what payment-svc told, in the order in which it told."""
    store = UseStore(work.session)
    uses = await store.get_many(list({item.use for item in news}))
    for item in news:
        if item.use not in uses:
            continue
        use = uses[item.use]
        settled = settle(use, item.state, item.refusal)
        if settled is not use:
            work.emit(use_became(settled))
        refunded = note_refund(settled, item.refunded_fen)
        if refunded is not settled:
            work.emit(use_refunded(refunded))
        if refunded is not use:
            await store.save(refunded)
        if item.ended_refund is not None:
            await store.close_refund(*item.ended_refund)
        uses[item.use] = refunded
