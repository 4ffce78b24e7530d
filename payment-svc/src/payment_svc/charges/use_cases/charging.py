"""Charging, voiding and refunding, as the payer's side asks for it; the caller's id makes each safe to repeat.

Invariant: an answer comes before the caller's deadline, with the state as it then is; the settling loop does the rest.
"""

import time
from datetime import timedelta
from uuid import UUID

from chassis.internal_tokens import Caller
from chassis.time import business_day
from chassis.work import Fact, Workshop
from payment_svc.charges.adapters import Bank
from payment_svc.charges.domain import (
    Charge,
    ChargeDiffers,
    ChargeVoided,
    Payment,
    PaymentNotFound,
    Refund,
    RefundDiffers,
    State,
    hold,
    instruct,
    refuse_at_once,
    want_void,
)
from payment_svc.charges.use_cases.books import Books, open_books
from payment_svc.charges.use_cases.settling import (
    converse,
    debit_of,
    instruct_bank,
    refund_of,
    settle_payment,
    settle_refund,
)

ANSWER_WITHIN_S = 1.3
"""Of the edge's 2 s; what is left is for the two transactions around the call to the bank."""
TAKE_S = 4.0
"""How long a request has for what it began before the loop takes it up: longer than it can take."""
WORTHWHILE_S = 0.2
"""With less time left the bank is not called in the request."""

NO_ACCOUNT = "no-payment-account"
OVER_DAILY_LIMIT = "daily-limit-exceeded"


async def charge(workshop: Workshop, bank: Bank, wanted: Charge, caller: Caller) -> Payment:
    """Charge a citizen's account, once per charge id; returns the payment as it is when the time is up.

    Raises ChargeDiffers when the id stands for another charge, ChargeVoided when it was taken back before.
    """
    started = time.monotonic()
    async with workshop.begin(caller) as work:
        books = await open_books(work)
        await books.charges.lock_charge(wanted.charge)
        if await books.charges.has_tombstone(wanted.charge):
            raise ChargeVoided
        known = await books.charges.find(wanted.charge)
        if known is not None:
            return _replayed(known, wanted)
        payment, account = await _begin(books, wanted)
    left_s = ANSWER_WITHIN_S - (time.monotonic() - started)
    if account is None or left_s < WORTHWHILE_S:
        return payment
    return await instruct_bank(workshop, bank, payment, account, left_s)


def _replayed(known: Payment, wanted: Charge) -> Payment:
    if known.charge != wanted:
        raise ChargeDiffers
    if known.state is State.VOIDED:
        raise ChargeVoided
    return known


async def _begin(books: Books, wanted: Charge) -> tuple[Payment, UUID | None]:
    """Hold the amount; returns the account to be debited when the bank can be told at once."""
    work = books.work
    pair = await books.ledger.pair_of_citizen(wanted.citizen)
    refusal = NO_ACCOUNT if pair is None else None
    if pair is not None and not await books.ledger.spend(wanted.citizen, business_day(work.now), wanted.amount_fen):
        refusal = OVER_DAILY_LIMIT
    if pair is None or refusal is not None:
        refused = refuse_at_once(wanted, work.new_id(), refusal or NO_ACCOUNT, now=work.now)
        await books.enter_payment(refused)
        return refused, None
    held = hold(wanted, work.new_id(), now=work.now)
    await books.enter_payment(held)
    if not pair.open_at_custodian:
        return held, None
    told = instruct(held, now=work.now, answer_by=work.now + timedelta(seconds=TAKE_S))
    await books.change_payment(held, told)
    return told, pair.settled


async def void(workshop: Workshop, bank: Bank, charge_id: UUID, caller: Caller) -> Payment | None:
    """Take a charge back; None when it had not arrived, and then it never will be carried out.

    What the bank may have done already is asked about: the payment then ends voided, refused, or confirmed and
    given back. One that had ended before stays as it is.
    """
    async with workshop.begin(caller) as work:
        books = await open_books(work)
        await books.charges.lock_charge(charge_id)
        before = await books.charges.find(charge_id)
        if before is None:
            if await books.charges.lay_tombstone(charge_id, work.now):
                work.record(Fact(topic="payment.charge.voided_unseen.v1", key=str(charge_id), details={}))
            return None
        after = want_void(before, now=work.now)
        await books.change_payment(before, after)
        if before.void_wanted or not after.is_open:
            return after
        account = (await books.payer_of(after)).settled
    about = debit_of(after, account)
    answer = await converse(bank, about, known=True, may_send=False, within_s=ANSWER_WITHIN_S)
    return await settle_payment(workshop, after.payment, answer)


async def refund(
    workshop: Workshop, bank: Bank, charge_id: UUID, refund_id: UUID, amount_fen: int, caller: Caller
) -> tuple[Payment, Refund]:
    """Give a part of a confirmed payment back, once per refund id.

    Raises PaymentNotFound, PaymentNotConfirmed, RefundExceedsRemainder, RefundDiffers.
    """
    started = time.monotonic()
    async with workshop.begin(caller) as work:
        books = await open_books(work)
        payment = await books.charges.find(charge_id)
        if payment is None:
            raise PaymentNotFound
        known = await books.charges.find_refund(refund_id)
        if known is not None:
            if (known.payment, known.amount_fen) != (payment.payment, amount_fen):
                raise RefundDiffers
            return payment, known
        begun = await books.enter_refund(payment, refund_id, amount_fen, take_s=TAKE_S)
        payment = await books.charges.lock(payment.payment)
        account = (await books.payer_of(payment)).settled
    left_s = ANSWER_WITHIN_S - (time.monotonic() - started)
    if left_s < WORTHWHILE_S:
        return payment, begun
    about = refund_of(begun, payment, account)
    answer = await converse(bank, about, known=False, may_send=True, within_s=left_s)
    return await settle_refund(workshop, begun, answer)
