"""The routes of payments: charging for other services, reading for citizens, the invariants for operators."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from chassis.pagination import MAX_PAGE, decode_place, encode_place
from chassis.web.guard import TheCaller, TheWorkshop
from chassis.web.models import AmountFen, ListModel, RequestModel, ResponseModel, Words
from chassis.web.work import TheWork
from contracts.problems.catalogue import CATALOGUE
from payment_svc.charges.adapters import Bank
from payment_svc.charges.domain import Charge, Payment, Refund
from payment_svc.charges.use_cases import charging, reading

router = APIRouter(tags=["payments"])


def bank_of(request: Request) -> Bank:
    """Return the bank that the composition root connected."""
    bank: Bank = request.app.state.bank
    return bank


TheBank = Annotated[Bank, Depends(bank_of)]


class ChargeRequest(RequestModel):
    """What a card use is to cost its holder."""

    charge_id: UUID = Field(description="The id of the card use; the same id is the same charge.")
    citizen: UUID
    venue: UUID
    terminal: str = Field(min_length=1, max_length=200)
    scenario: str = Field(min_length=1, max_length=100)
    amount_fen: AmountFen


class ChargeModel(ResponseModel):
    """A charge as it stands."""

    payment_id: UUID | None = Field(description="Null when the charge was taken back before it arrived.")
    state: str = Field(description="held, instructed, confirmed, refused, unknown (being settled) or voided.")
    refusal: str | None = Field(default=None, description="Why it was refused, a code of the error catalogue.")
    show: Words | None = Field(default=None, description="What to tell the citizen about the refusal.")
    void_wanted: bool = Field(default=False, description="Taken back; what went through meanwhile is given back.")
    refunded_fen: int = 0
    refunding_fen: int = 0
    version: int | None = None


class RefundRequest(RequestModel):
    """What is to be given back."""

    refund_id: UUID = Field(description="The same id is the same refund.")
    amount_fen: AmountFen


class RefundModel(ResponseModel):
    """A refund as it stands, and what remains of its payment."""

    refund_id: UUID
    payment_id: UUID
    state: str = Field(description="pending, confirmed, refused or unknown (being settled).")
    refusal: str | None = None
    show: Words | None = None
    refunded_fen: int
    remainder_fen: int


class PaymentModel(ResponseModel):
    """A payment as its payer sees it."""

    payment: UUID
    venue: UUID
    scenario: str
    amount_fen: int
    refunded_fen: int = Field(description="What the bank has given back.")
    refunding_fen: int = Field(description="What is on its way back.")
    state: str = Field(description="held, instructed, confirmed, refused, unknown (being settled) or voided.")
    refusal: str | None
    show: Words | None
    created_at: datetime
    changed_at: datetime


class RefundOfPaymentModel(ResponseModel):
    """A part of a payment that was given back, or is on its way."""

    refund: UUID
    amount_fen: int
    state: str = Field(description="pending, confirmed, refused or unknown (being settled).")
    refusal: str | None
    show: Words | None
    created_at: datetime
    changed_at: datetime


class PaymentWithRefundsModel(PaymentModel):
    """A payment and everything that was given back of it."""

    refunds: list[RefundOfPaymentModel]


class InvariantsModel(ResponseModel):
    """The ledger's figures, all of one snapshot."""

    ok: bool
    broken: list[str] = Field(description="The invariants that do not hold; empty.")
    sum_fen: int = Field(description="Of all entries: 0.")
    balances_sum_fen: int = Field(description="Of all accounts' balances: 0.")
    entries: int
    accounts: int
    up_to_position: int = Field(description="Every event of our journal up to here is in these figures.")
    held_fen: int = Field(description="In flight to venues; equals open_payments_fen.")
    open_payments_fen: int
    open_payments: int
    returning_fen: int = Field(description="In flight back to citizens; equals open_refunds_fen.")
    open_refunds_fen: int
    open_refunds: int
    waiting_long: int = Field(description="Payments and refunds that the bank has not decided for over an hour.")


@router.post("/internal/charges", operation_id="payment.charge")
async def charge(body: ChargeRequest, caller: TheCaller, workshop: TheWorkshop, bank: TheBank) -> ChargeModel:
    """Charge a citizen; answers within 1.6 s with the state as it then is."""
    wanted = Charge(
        charge=body.charge_id,
        citizen=body.citizen,
        venue=body.venue,
        terminal=body.terminal,
        scenario=body.scenario,
        amount_fen=body.amount_fen,
    )
    return _charge_model(await charging.charge(workshop, bank, wanted, caller))


@router.post("/internal/charges/{charge}/void", operation_id="payment.void")
async def void(charge: UUID, caller: TheCaller, workshop: TheWorkshop, bank: TheBank) -> ChargeModel:
    """Take a charge back before it is confirmed; one that has not arrived is refused when it does.

    The answer's `state` says what came of it. A charge that was confirmed before stays so and can be refunded.
    """
    return _charge_model(await charging.void(workshop, bank, charge, caller))


@router.post("/internal/charges/{charge}/refunds", operation_id="payment.refund")
async def refund(
    charge: UUID, body: RefundRequest, caller: TheCaller, workshop: TheWorkshop, bank: TheBank
) -> RefundModel:
    """Give back at most what remains of a confirmed charge."""
    payment, begun = await charging.refund(workshop, bank, charge, body.refund_id, body.amount_fen, caller)
    return RefundModel(
        refund_id=begun.refund,
        payment_id=begun.payment,
        state=begun.state.value,
        refusal=begun.refusal,
        show=_words(begun.refusal),
        refunded_fen=payment.refunded_fen,
        remainder_fen=payment.remainder_fen,
    )


@router.get("/v1/payments", operation_id="payment.list")
async def list_payments(
    caller: TheCaller,
    work: TheWork,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
) -> ListModel[PaymentModel]:
    """List the caller's own payments, newest first."""
    page = await reading.list_payments(work, caller.citizen_or_refuse(), decode_place(cursor), limit)
    return ListModel(items=[_payment_model(payment) for payment in page.items], next=encode_place(page.next))


@router.get("/v1/payments/{payment}", operation_id="payment.read")
async def read_payment(payment: UUID, caller: TheCaller, work: TheWork) -> PaymentWithRefundsModel:
    """Read one of the caller's own payments."""
    found, refunds = await reading.read_payment(work, payment, caller.citizen_or_refuse())
    shown = [_refund_model(refund) for refund in refunds]
    return PaymentWithRefundsModel(**_payment_model(found).model_dump(), refunds=shown)


@router.get("/v1/ledger/invariants", operation_id="payment.invariants")
async def invariants(work: TheWork) -> InvariantsModel:
    """Say whether the ledger is sound, up to which position of the journal, and what is under way."""
    return _invariants_model(await reading.read_invariants(work))


def _words(code: str | None) -> Words | None:
    problem = CATALOGUE[code] if code else None
    return Words(zh=problem.show_zh, en=problem.show_en) if problem else None


def _charge_model(payment: Payment | None) -> ChargeModel:
    if payment is None:
        return ChargeModel(payment_id=None, state="voided")
    return ChargeModel(
        payment_id=payment.payment,
        state=payment.state.value,
        refusal=payment.refusal,
        show=_words(payment.refusal),
        void_wanted=payment.void_wanted,
        refunded_fen=payment.refunded_fen,
        refunding_fen=payment.refunding_fen,
        version=payment.version,
    )


def _payment_model(payment: Payment) -> PaymentModel:
    return PaymentModel(
        payment=payment.payment,
        venue=payment.charge.venue,
        scenario=payment.charge.scenario,
        amount_fen=payment.charge.amount_fen,
        refunded_fen=payment.refunded_fen,
        refunding_fen=payment.refunding_fen,
        state=payment.state.value,
        refusal=payment.refusal,
        show=_words(payment.refusal),
        created_at=payment.created_at,
        changed_at=payment.changed_at,
    )


def _refund_model(refund: Refund) -> RefundOfPaymentModel:
    return RefundOfPaymentModel(
        refund=refund.refund,
        amount_fen=refund.amount_fen,
        state=refund.state.value,
        refusal=refund.refusal,
        show=_words(refund.refusal),
        created_at=refund.created_at,
        changed_at=refund.changed_at,
    )


def _invariants_model(found: reading.Invariants) -> InvariantsModel:
    ledger, under_way = found.ledger, found.under_way
    return InvariantsModel(
        ok=not found.broken,
        broken=found.broken,
        sum_fen=ledger.sum_fen,
        balances_sum_fen=ledger.balances_sum_fen,
        entries=ledger.entries,
        accounts=ledger.accounts,
        up_to_position=ledger.up_to_position,
        held_fen=ledger.held_fen,
        open_payments_fen=under_way.open_payments_fen,
        open_payments=under_way.open_payments,
        returning_fen=ledger.returning_fen,
        open_refunds_fen=under_way.open_refunds_fen,
        open_refunds=under_way.open_refunds,
        waiting_long=under_way.waiting_long,
    )
