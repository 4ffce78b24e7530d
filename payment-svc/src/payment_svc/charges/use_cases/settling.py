"""Finding out what became of what the bank was told, and writing it down: the only way in which a payment ends.

Invariant: no transaction is open while the bank is asked, and what it is told is on record before it is told.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import structlog

from chassis.work import Fact, Work, Workshop
from payment_svc.charges.adapters import SILENCE, Bank, Instruction, Kind
from payment_svc.charges.domain import (
    Answer,
    Payment,
    Refund,
    State,
    Word,
    await_account,
    contradicts,
    heed,
    heed_about_refund,
    instruct,
    tell_again,
)
from payment_svc.charges.store import CLAIM_FOR
from payment_svc.charges.use_cases.books import Books, open_books

_log = structlog.get_logger(__name__)

AT_ONCE = 8
"""Payments that one process settles side by side; none keeps a database connection while the bank is asked."""
CLAIM_AT_ONCE = 24
PATIENCE_S = 3.0
QUESTION_S = 0.35
"""Kept back of the time for an instruction, so that an unclear answer can be asked about at once."""


async def converse(bank: Bank, about: Instruction, *, known: bool, may_send: bool, within_s: float) -> Answer:
    """Get the bank's word: ask about what it may know, send what it has not seen, ask when the answer is unclear."""
    ends = time.monotonic() + within_s
    if known:
        answer = await bank.ask(about, within_s=min(within_s, PATIENCE_S / 2))
        if not (may_send and answer.word is Word.NEVER_SEEN):
            return answer
    answer = await bank.instruct(about, within_s=max(0.05, ends - time.monotonic() - QUESTION_S))
    left_s = ends - time.monotonic()
    if answer is SILENCE and left_s > 0.1:
        return await bank.ask(about, within_s=left_s)
    return answer


async def instruct_bank(workshop: Workshop, bank: Bank, payment: Payment, account: UUID, within_s: float) -> Payment:
    """Tell the bank of a payment that has just been put down as instructed, and write down its word."""
    about = debit_of(payment, account)
    answer = await converse(bank, about, known=False, may_send=True, within_s=within_s)
    return await settle_payment(workshop, payment.payment, answer)


async def settle_payment(workshop: Workshop, payment_id: UUID, answer: Answer) -> Payment:
    """Write down what the bank's word makes of a payment; what was to be voided and went through is given back."""
    async with workshop.begin() as work:
        books = await open_books(work)
        before = await books.charges.lock(payment_id)
        _note_contradiction(work, payment_id, before.state.value, answer)
        after = heed(before, answer, now=work.now)
        await books.change_payment(before, after)
        if after.void_wanted and after.state is State.CONFIRMED and before.state is not State.CONFIRMED:
            await books.enter_refund(after, work.new_id(), after.remainder_fen, take_s=0)
            after = await books.charges.lock(payment_id)
    return after


async def settle_refund(workshop: Workshop, refund: Refund, answer: Answer) -> tuple[Payment, Refund]:
    """Write down what the bank's word makes of a refund."""
    async with workshop.begin() as work:
        books = await open_books(work)
        payment = await books.charges.lock(refund.payment)
        before = await books.charges.lock_refund(refund.refund)
        _note_contradiction(work, refund.refund, before.state.value, answer)
        payment, after = heed_about_refund(payment, before, answer, now=work.now)
        await books.change_refund(before, after, payment)
    return payment, after


def _note_contradiction(work: Work, subject: UUID, ended: str, answer: Answer) -> None:
    if contradicts(ended, answer):
        details = {"ended": ended, "bank": answer.word.value}
        work.record(Fact(topic="payment.bank.contradicted.v1", key=str(subject), details=details))


async def settle_due(workshop: Workshop, bank: Bank) -> int:
    """Take up what is due: payments, then refunds; returns how many there were."""
    async with workshop.begin() as work:
        payments = await (await open_books(work)).charges.claim_payments(work.now, CLAIM_AT_ONCE)
    await _side_by_side(payments, lambda payment: pursue_payment(workshop, bank, payment))
    async with workshop.begin() as work:
        refunds = await (await open_books(work)).charges.claim_refunds(work.now, CLAIM_AT_ONCE)
    await _side_by_side(refunds, lambda refund: pursue_refund(workshop, bank, refund))
    return len(payments) + len(refunds)


async def _side_by_side(ids: Sequence[UUID], pursue: Callable[[UUID], Awaitable[object]]) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(subject: UUID) -> None:
        async with slots:
            await pursue(subject)

    # One that fails is due again when its claim ends; the others of the turn are not its affair.
    results = await asyncio.gather(*(one(subject) for subject in ids), return_exceptions=True)
    for subject, result in zip(ids, results, strict=True):
        if isinstance(result, Exception):
            _log.error("not settled this time", subject=str(subject), exc_info=result)


async def pursue_payment(workshop: Workshop, bank: Bank, payment_id: UUID) -> None:
    """Take one open payment a step further."""
    async with workshop.begin() as work:
        books = await open_books(work)
        before = await books.charges.lock(payment_id)
        if not before.is_open:
            return
        payer = await books.payer_of(before)
        payment = await _put_down(books, before, payer.open_at_custodian)
    if payment.state is State.HELD:
        return
    answer = await converse(
        bank,
        debit_of(payment, payer.settled),
        known=before.state is not State.HELD,
        may_send=not payment.void_wanted,
        within_s=PATIENCE_S,
    )
    await settle_payment(workshop, payment_id, answer)


async def _put_down(books: Books, before: Payment, account_is_open: bool) -> Payment:
    now = books.work.now
    if before.state is not State.HELD:
        after = tell_again(before, now=now, answer_by=now + CLAIM_FOR)
    elif account_is_open:
        after = instruct(before, now=now, answer_by=now + CLAIM_FOR)
    else:
        after = await_account(before, now=now)
    await books.change_payment(before, after)
    return after


async def pursue_refund(workshop: Workshop, bank: Bank, refund_id: UUID) -> None:
    """Take one open refund a step further."""
    async with workshop.begin() as work:
        books = await open_books(work)
        refund = await books.charges.find_refund(refund_id)
        if refund is None or not refund.is_open:
            return
        payment = await books.charges.lock(refund.payment)
        account = (await books.payer_of(payment)).settled
    answer = await converse(bank, refund_of(refund, payment, account), known=True, may_send=True, within_s=PATIENCE_S)
    await settle_refund(workshop, refund, answer)


def debit_of(payment: Payment, account: UUID) -> Instruction:
    """Return what the bank is told to take."""
    return Instruction(
        id=payment.payment,
        kind=Kind.DEBIT,
        account=account,
        merchant=payment.charge.venue,
        amount_fen=payment.charge.amount_fen,
    )


def refund_of(refund: Refund, payment: Payment, account: UUID) -> Instruction:
    """Return what the bank is told to give back."""
    return Instruction(
        id=refund.instruction,
        kind=Kind.REFUND,
        account=account,
        merchant=payment.charge.venue,
        amount_fen=refund.amount_fen,
        debit=payment.payment,
    )
