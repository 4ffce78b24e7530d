"""What payment-svc tells the others: accounts, and the whole state of a payment after each step."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.events.envelope import Event

PaymentState = Literal["held", "instructed", "confirmed", "refused", "unknown", "voided"]
Custodian = Literal["bank", "us", "tax_authority", "medical_insurer", "treasury"]


class AccountOpened(Event):
    """A citizen can be charged: an account stands behind the card."""

    topic: ClassVar[str] = "payment.account.opened.v1"
    key_field: ClassVar[str] = "account"

    account: UUID
    citizen: UUID
    custodian: Custodian  # whose money it is
    version: int = Field(ge=1)


class PaymentEvent(Event):
    """A payment's whole state after a change; `version` counts the changes from 1."""

    key_field: ClassVar[str] = "payment"

    payment: UUID
    charge: UUID  # the id that the payer's side gave: of the card use
    citizen: UUID
    amount_fen: int = Field(gt=0)
    refunded_fen: int = Field(ge=0)  # confirmed refunds only
    state: PaymentState
    refusal: str | None = None  # the bank's reason as a code of the error catalogue
    version: int = Field(ge=1)


class PaymentHeld(PaymentEvent):
    """The amount is reserved; the custodian was not told yet."""

    topic: ClassVar[str] = "payment.payment.held.v1"


class PaymentInstructed(PaymentEvent):
    """The custodian was told to move the money."""

    topic: ClassVar[str] = "payment.payment.instructed.v1"


class PaymentConfirmed(PaymentEvent):
    """The custodian moved the money."""

    topic: ClassVar[str] = "payment.payment.confirmed.v1"


class PaymentRefused(PaymentEvent):
    """The custodian did not move the money, and never will."""

    topic: ClassVar[str] = "payment.payment.refused.v1"


class PaymentUnknown(PaymentEvent):
    """The custodian has not said whether it moved the money; it is being asked."""

    topic: ClassVar[str] = "payment.payment.unknown.v1"


class PaymentVoided(PaymentEvent):
    """The payer's side took the charge back before it was confirmed."""

    topic: ClassVar[str] = "payment.payment.voided.v1"


class RefundEvent(PaymentEvent):
    """The payment's state after a refund changed."""

    refund: UUID
    refund_fen: int = Field(gt=0)


class RefundConfirmed(RefundEvent):
    """The custodian gave this part of the money back."""

    topic: ClassVar[str] = "payment.refund.confirmed.v1"


class RefundRefused(RefundEvent):
    """The custodian did not give the money back, and never will."""

    topic: ClassVar[str] = "payment.refund.refused.v1"


PAYMENT_EVENTS: dict[str, type[PaymentEvent]] = {
    shape.topic: shape
    for shape in (
        PaymentHeld,
        PaymentInstructed,
        PaymentConfirmed,
        PaymentRefused,
        PaymentUnknown,
        PaymentVoided,
        RefundConfirmed,
        RefundRefused,
    )
}
"""Every topic that changes a payment's state."""
