"""A charge on its way to the custodian and back: declared states, and what each word of the bank makes of them.

    held ──> instructed ──> confirmed ──> refunds, each pending ──> confirmed | refused | unknown
      │           │  └────> refused
      │           └──> unknown ──> confirmed | refused | voided
      └──> voided <──┘

Invariant: only a clear word of the bank ends what the bank was told; silence makes it unknown and is asked about.
Once ended a payment stays as it is, whatever arrives afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from chassis.errors import Conflict, NotFound, Unprocessable

ARRIVES_WITHIN = timedelta(seconds=30)
"""What the bank still has not seen this long after we sent it will not arrive any more (contract with the bank)."""


class State(StrEnum):
    """Where a payment stands."""

    HELD = "held"  # reserved in our ledger; the bank knows nothing
    INSTRUCTED = "instructed"  # the bank was told, or is just being told
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # the bank has not said; it is being asked
    VOIDED = "voided"


NEXT: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.HELD: frozenset({State.INSTRUCTED, State.VOIDED}),
        State.INSTRUCTED: frozenset({State.CONFIRMED, State.REFUSED, State.UNKNOWN, State.VOIDED}),
        State.UNKNOWN: frozenset({State.CONFIRMED, State.REFUSED, State.VOIDED}),
        State.CONFIRMED: frozenset(),
        State.REFUSED: frozenset(),
        State.VOIDED: frozenset(),
    }
)
"""What is not in this table cannot happen to a payment."""


class RefundState(StrEnum):
    """Where a refund stands."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    UNKNOWN = "unknown"


REFUND_NEXT: Mapping[RefundState, frozenset[RefundState]] = MappingProxyType(
    {
        RefundState.PENDING: frozenset({RefundState.CONFIRMED, RefundState.REFUSED, RefundState.UNKNOWN}),
        RefundState.UNKNOWN: frozenset({RefundState.CONFIRMED, RefundState.REFUSED}),
        RefundState.CONFIRMED: frozenset(),
        RefundState.REFUSED: frozenset(),
    }
)


class Word(StrEnum):
    """What the bank says about an instruction."""

    ACCEPTED = "accepted"  # it has it and will decide
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    NEVER_SEEN = "never_seen"  # nothing of this id has arrived
    SILENT = "silent"  # no answer, or one that answers something else


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A word of the bank, with the reason when it refused."""

    word: Word
    refusal: str | None = None  # a code of the error catalogue


class StepNotAllowed(ValueError):
    """A step that the table of transitions does not hold: a defect of ours."""


class ChargeDiffers(Unprocessable):
    """This charge id was used before for another charge."""

    code = "charge-id-reused"


class ChargeVoided(Conflict):
    """The charge was taken back before it arrived; it will never be carried out."""

    code = "charge-voided"
    recorded = True


class PaymentNotFound(NotFound):
    """There is no such payment for this caller."""

    code = "payment-not-found"


class PaymentNotConfirmed(Conflict):
    """Only a confirmed payment can be refunded."""

    code = "payment-not-confirmed"


class RefundExceedsRemainder(Conflict):
    """More is to be refunded than remains of the payment."""

    code = "refund-exceeds-remainder"


class RefundDiffers(Unprocessable):
    """This refund id was used before for another refund."""

    code = "refund-id-reused"


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What the payer's side asks for; equal charges are the same request."""

    charge: UUID  # given by the caller: the id of the card use
    citizen: UUID
    venue: UUID
    terminal: str
    scenario: str
    amount_fen: int


@dataclass(frozen=True, kw_only=True)
class Payment:
    """A charge and what became of it."""

    payment: UUID
    charge: Charge
    state: State
    refusal: str | None = None  # a code of the error catalogue
    refunded_fen: int = 0  # confirmed refunds
    refunding_fen: int = 0  # refunds that the bank has not decided
    void_wanted: bool = False  # taken back while the bank may already have moved the money
    tries: int = 0  # times the bank was asked without a clear word
    told_at: datetime | None = None  # when it was last sent to the bank
    due: datetime | None  # when to ask next; None once it has ended
    version: int = 1
    created_at: datetime
    changed_at: datetime

    @property
    def is_open(self) -> bool:
        """Whether it can still end one way or the other."""
        return bool(NEXT[self.state])

    @property
    def remainder_fen(self) -> int:
        """What may still be refunded."""
        return self.charge.amount_fen - self.refunded_fen - self.refunding_fen


@dataclass(frozen=True, kw_only=True)
class Refund:
    """A part of a payment on its way back."""

    refund: UUID  # given by the caller
    instruction: UUID  # by which the bank knows it
    payment: UUID
    amount_fen: int
    state: RefundState = RefundState.PENDING
    refusal: str | None = None
    tries: int = 0
    due: datetime | None
    created_at: datetime
    changed_at: datetime

    @property
    def is_open(self) -> bool:
        """Whether it can still end one way or the other."""
        return bool(REFUND_NEXT[self.state])


@dataclass(frozen=True, kw_only=True)
class OpenTotals:
    """What is under way according to payments and refunds, to be compared with the ledger."""

    open_payments: int
    open_payments_fen: int
    open_refunds: int
    open_refunds_fen: int
    over_refunded: int  # payments of which more was given back than paid: 0
    waiting_long: int  # payments and refunds without a clear word for over an hour


def hold(charge: Charge, payment_id: UUID, *, now: datetime) -> Payment:
    """Begin a payment by reserving its amount."""
    return Payment(payment=payment_id, charge=charge, state=State.HELD, due=now, created_at=now, changed_at=now)


def refuse_at_once(charge: Charge, payment_id: UUID, code: str, *, now: datetime) -> Payment:
    """Refuse a charge that the bank need not hear of; its id is used up, so that a delayed copy changes nothing."""
    return Payment(
        payment=payment_id,
        charge=charge,
        state=State.REFUSED,
        refusal=code,
        due=None,
        created_at=now,
        changed_at=now,
    )


def instruct(payment: Payment, *, now: datetime, answer_by: datetime) -> Payment:
    """Note that the bank is about to be told, before it is told; raises StepNotAllowed."""
    return replace(_move(payment, State.INSTRUCTED, now), told_at=now, due=answer_by)


def await_account(payment: Payment, *, now: datetime) -> Payment:
    """Leave a payment held while the bank is still being told of the citizen's account."""
    return replace(payment, tries=payment.tries + 1, due=now + next_question(min(payment.tries, 3)))


def tell_again(payment: Payment, *, now: datetime, answer_by: datetime) -> Payment:
    """Note that the bank is about to be told or asked once more; one that is to be voided is only asked about."""
    return replace(payment, told_at=payment.told_at if payment.void_wanted else now, due=answer_by)


def heed(payment: Payment, answer: Answer, *, now: datetime) -> Payment:
    """Return what the bank's word makes of an instructed payment; one that has ended stays as it is."""
    if not payment.is_open:
        return payment
    if answer.word is Word.CONFIRMED:
        return _move(payment, State.CONFIRMED, now)
    if answer.word is Word.REFUSED:
        return replace(_move(payment, State.REFUSED, now), refusal=answer.refusal)
    if answer.word is Word.NEVER_SEEN and payment.void_wanted and _cannot_arrive(payment, now):
        return _move(payment, State.VOIDED, now)
    waiting = replace(payment, tries=payment.tries + 1, due=now + next_question(payment.tries))
    if answer.word is Word.ACCEPTED or payment.state is State.UNKNOWN:
        return waiting
    return replace(_move(waiting, State.UNKNOWN, now), due=waiting.due)


def _cannot_arrive(payment: Payment, now: datetime) -> bool:
    return payment.told_at is None or now - payment.told_at >= ARRIVES_WITHIN


def want_void(payment: Payment, *, now: datetime) -> Payment:
    """Take a charge back: at once when the bank knows nothing, else as soon as the bank has said where it stands.

    One that has ended stays as it is: the caller reads how, and a confirmed one is refunded, not voided.
    """
    if payment.void_wanted or not payment.is_open:
        return payment
    if payment.state is State.HELD:
        return _move(payment, State.VOIDED, now)
    return replace(payment, void_wanted=True, due=now)


def begin_refund(
    payment: Payment, refund: UUID, amount_fen: int, *, instruction: UUID, now: datetime, answer_by: datetime
) -> tuple[Payment, Refund]:
    """Set `amount_fen` of a confirmed payment aside to be given back.

    Raises PaymentNotConfirmed, RefundExceedsRemainder.
    """
    if payment.state is not State.CONFIRMED:
        raise PaymentNotConfirmed(f"The payment is {payment.state}; only a confirmed one can be refunded.")
    if amount_fen > payment.remainder_fen:
        raise RefundExceedsRemainder(f"{payment.remainder_fen} fen remain to be refunded.", field="amount_fen")
    begun = Refund(
        refund=refund,
        instruction=instruction,
        payment=payment.payment,
        amount_fen=amount_fen,
        due=answer_by,
        created_at=now,
        changed_at=now,
    )
    return replace(payment, refunding_fen=payment.refunding_fen + amount_fen), begun


def heed_about_refund(payment: Payment, refund: Refund, answer: Answer, *, now: datetime) -> tuple[Payment, Refund]:
    """Return what the bank's word makes of a refund and its payment; one that has ended stays as it is."""
    if not refund.is_open:
        return payment, refund
    if answer.word in (Word.CONFIRMED, Word.REFUSED):
        ended = RefundState.CONFIRMED if answer.word is Word.CONFIRMED else RefundState.REFUSED
        given_fen = refund.amount_fen if ended is RefundState.CONFIRMED else 0
        told = replace(
            payment,
            refunding_fen=payment.refunding_fen - refund.amount_fen,
            refunded_fen=payment.refunded_fen + given_fen,
            version=payment.version + 1,
            changed_at=now,
        )
        return told, replace(refund, state=ended, refusal=answer.refusal, due=None, changed_at=now)
    state = refund.state if answer.word is Word.ACCEPTED else RefundState.UNKNOWN
    waiting = replace(refund, state=state, tries=refund.tries + 1, due=now + next_question(refund.tries))
    return payment, waiting


def contradicts(ended: str, answer: Answer) -> bool:
    """Whether the bank now says the opposite of how something ended: a matter for people."""
    return (ended, answer.word) in (
        ("confirmed", Word.REFUSED),
        ("refused", Word.CONFIRMED),
        ("voided", Word.CONFIRMED),
    )


def next_question(tries: int) -> timedelta:
    """How long to wait before the bank is asked again: 0.3 s, doubling, at most a minute; for as long as it takes."""
    return timedelta(seconds=min(60.0, 0.3 * 2.0 ** min(tries, 8)))


def _move(payment: Payment, state: State, now: datetime) -> Payment:
    if state not in NEXT[payment.state]:
        raise StepNotAllowed(f"{payment.state} -> {state}")
    due = payment.due if NEXT[state] else None
    return replace(payment, state=state, due=due, version=payment.version + 1, changed_at=now)
