"""Using a card: may this person do this here, and what became of it.

`decide` is pure: the facts go in, a refusal comes out or nothing. Invariant: one code is redeemed once, and a use that
was paid for ends accepted, refused or cancelled, never in two of them.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from chassis.errors import Conflict, Forbidden, NotFound, Refusal, Unavailable, Unprocessable
from scenario_svc.venues.domain import Scenario, Venue


class UseRefused(Forbidden):
    """The card may not be used here and now."""

    recorded = True


class TerminalNotPlaced(UseRefused):
    """The terminal stands in no venue, or is suspended."""

    code = "terminal-not-placed"


class ScenarioNotLicensed(UseRefused):
    """The venue is not licensed for this scenario."""

    code = "scenario-not-licensed"


class CodeMalformed(Unprocessable):
    """The text is not a card code."""

    code = "code-malformed"


class CodeForged(UseRefused):
    """The code's signature is not right."""

    code = "code-forged"


class CodeOfAnotherCell(UseRefused):
    """The code was made by a cell that this one does not trust."""

    code = "code-of-another-cell"


class CodeExpired(Refusal):
    """The code is older than its 60 seconds, or made in the future."""

    code = "code-expired"
    recorded = True


class CodeAlreadyUsed(Conflict):
    """The code was redeemed before: one code, one use."""

    code = "code-already-used"
    recorded = True


class CardNotEnabled(UseRefused):
    """The card is not enabled yet."""

    code = "card-not-enabled"


class CardReportedLost(UseRefused):
    """The card was reported lost."""

    code = "card-reported-lost"


class CardEnded(UseRefused):
    """The card is locked, expired or cancelled."""

    code = "card-ended"


class CardLevelTooLow(UseRefused):
    """This scenario needs a card with a linked bank account."""

    code = "card-level-too-low"


class CardStateUnknown(Unavailable):
    """News of this card could not be applied, or nobody can say how it stands now."""

    code = "card-state-unknown"
    recorded = True


class AmountNeeded(Unprocessable):
    """This scenario charges: an amount is needed."""

    code = "amount-needed"


class AmountNotAllowed(Unprocessable):
    """Nothing is charged in this scenario."""

    code = "amount-not-allowed"


class AmountTooHigh(Unprocessable):
    """One use of this scenario may not cost that much."""

    code = "amount-too-high"


class UseNotFound(NotFound):
    """There is no such use for this caller."""

    code = "use-not-found"


class UseNotRefundable(Conflict):
    """Only a use that was accepted and charged can be refunded."""

    code = "use-not-refundable"


class RefundTooHigh(Conflict):
    """More would be refunded than remains of the charge."""

    code = "refund-too-high"


@dataclass(frozen=True, kw_only=True)
class KnownCard:
    """What this service knows of a card, and how well."""

    card: UUID
    citizen: UUID
    state: str
    level: int
    version: int
    age_s: float  # all that card-svc confirmed longer ago than this is known here
    unknown: bool  # an event of this card could not be applied


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a decision rests on."""

    venue: Venue | None  # where the terminal stands
    card: KnownCard | None
    amount_fen: int | None


_NOT_YET_ENABLED = frozenset({"applied", "in_production", "dispatched", "dormant"})
_LOST = frozenset({"temporarily_lost", "lost"})


def refuse_amount(scenario: Scenario, amount_fen: int | None) -> None:
    """Raise when the amount does not fit the scenario."""
    if scenario.charge_max_fen is None:
        if amount_fen is not None:
            raise AmountNotAllowed(field="amount_fen")
    elif amount_fen is None:
        raise AmountNeeded(field="amount_fen")
    elif amount_fen > scenario.charge_max_fen:
        raise AmountTooHigh(field="amount_fen")


def decide(scenario: Scenario, facts: Facts) -> tuple[Venue, KnownCard]:
    """Return venue and card when the card may be used; raises the refusal that says why not.

    An unknown card is refused whatever its age: fail closed.
    """
    if facts.venue is None:
        raise TerminalNotPlaced
    if scenario.id not in facts.venue.scenarios:
        raise ScenarioNotLicensed
    refuse_amount(scenario, facts.amount_fen)
    card = facts.card
    if card is None or card.unknown or card.age_s > scenario.card_max_age_s:
        raise CardStateUnknown
    if card.state in _NOT_YET_ENABLED:
        raise CardNotEnabled
    if card.state in _LOST:
        raise CardReportedLost
    if card.state != "active":
        raise CardEnded
    if card.level < scenario.level:
        raise CardLevelTooLow
    return facts.venue, card


class UseState(StrEnum):
    """What became of a use."""

    OPEN = "open"  # the charge is being settled
    ACCEPTED = "accepted"
    REFUSED = "refused"  # the charge was refused
    CANCELLED = "cancelled"  # the charge was taken back


@dataclass(frozen=True, kw_only=True)
class CardUse:
    """One use of a card at a terminal."""

    id: UUID
    citizen: UUID
    card: UUID
    venue: UUID
    terminal: str
    scenario: str
    amount_fen: int | None
    refunded_fen: int
    state: UseState
    refusal: str | None  # a code of the error catalogue
    version: int
    created_at: datetime


CHARGE_AGAIN_AFTER = timedelta(seconds=5)
GIVE_UP_AFTER = timedelta(seconds=60)
"""A charge that has not got through by then is taken back; a person at a gate has long gone."""


def begin_use(
    use_id: UUID,
    *,
    venue: Venue,
    card: KnownCard,
    terminal: str,
    scenario: Scenario,
    amount_fen: int | None,
    now: datetime,
) -> CardUse:
    """Begin a use: accepted at once where nothing is charged, open until the charge is settled elsewhere."""
    return CardUse(
        id=use_id,
        citizen=card.citizen,
        card=card.card,
        venue=venue.id,
        terminal=terminal,
        scenario=scenario.id,
        amount_fen=amount_fen,
        refunded_fen=0,
        state=UseState.OPEN if scenario.charges else UseState.ACCEPTED,
        refusal=None,
        version=1,
        created_at=now,
    )


_CLOSES = {"confirmed": UseState.ACCEPTED, "refused": UseState.REFUSED, "voided": UseState.CANCELLED}


def settle(use: CardUse, payment_state: str, refusal: str | None) -> CardUse:
    """Close an open use by what payment-svc says of its charge; a payment not at its end changes nothing."""
    closed = _CLOSES.get(payment_state)
    if closed is None or use.state is not UseState.OPEN:
        return use
    return replace(use, state=closed, refusal=refusal if closed is UseState.REFUSED else None, version=use.version + 1)


def note_refund(use: CardUse, refunded_fen: int) -> CardUse:
    """Take over how much of the charge has been refunded in all; it never becomes less."""
    if refunded_fen <= use.refunded_fen:
        return use
    return replace(use, refunded_fen=refunded_fen, version=use.version + 1)


def refuse_refund(use: CardUse, amount_fen: int, promised_fen: int) -> None:
    """Raise unless `amount_fen` can be refunded; `promised_fen` is confirmed and still open refunds together."""
    if use.state is not UseState.ACCEPTED or use.amount_fen is None:
        raise UseNotRefundable
    if promised_fen + amount_fen > use.amount_fen:
        left = use.amount_fen - promised_fen
        raise RefundTooHigh(f"{left} fen are left to refund.", field="amount_fen")


@dataclass(frozen=True, kw_only=True)
class Refund:
    """Part of a charge that is given back."""

    id: UUID
    use: UUID
    amount_fen: int
    state: str  # open, confirmed, refused
    created_at: datetime
