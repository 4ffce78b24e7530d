"""A payment after a change -> the event that is promised for it."""

from typing import Any

from contracts.events.payment import (
    PaymentConfirmed,
    PaymentEvent,
    PaymentHeld,
    PaymentInstructed,
    PaymentRefused,
    PaymentUnknown,
    PaymentVoided,
    RefundConfirmed,
    RefundRefused,
)
from payment_svc.charges.domain import Payment, Refund, RefundState, State

_SHAPES: dict[State, type[PaymentEvent]] = {
    State.HELD: PaymentHeld,
    State.INSTRUCTED: PaymentInstructed,
    State.CONFIRMED: PaymentConfirmed,
    State.REFUSED: PaymentRefused,
    State.UNKNOWN: PaymentUnknown,
    State.VOIDED: PaymentVoided,
}


def payment_changed(payment: Payment) -> PaymentEvent:
    """Tell the state that a payment has just reached."""
    return _SHAPES[payment.state](**_fields(payment))


def refund_ended(payment: Payment, refund: Refund) -> PaymentEvent:
    """Tell how a refund ended."""
    shape = RefundConfirmed if refund.state is RefundState.CONFIRMED else RefundRefused
    return shape(**_fields(payment), refund=refund.refund, refund_fen=refund.amount_fen)


def _fields(payment: Payment) -> dict[str, Any]:
    return {
        "payment": payment.payment,
        "charge": payment.charge.charge,
        "citizen": payment.charge.citizen,
        "amount_fen": payment.charge.amount_fen,
        "refunded_fen": payment.refunded_fen,
        "state": payment.state.value,
        "refusal": payment.refusal,
        "version": payment.version,
    }
