"""The life of a card, as a table of transitions: what is not in the table cannot happen.

Physical card and e-card are one card with one state. A refusal names the state that the card is in and the states in
which the step is allowed; both the API's answers and docs/card-states.md come from `STEPS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Literal
from uuid import UUID

from chassis.errors import Conflict, NotFound

Level = Literal[1, 2]


class State(StrEnum):
    """Where a card stands in its life."""

    APPLIED = "applied"
    IN_PRODUCTION = "in_production"
    DISPATCHED = "dispatched"
    DORMANT = "dormant"  # 封存: handed over, not yet enabled
    ACTIVE = "active"
    TEMPORARILY_LOST = "temporarily_lost"
    LOST = "lost"
    LOCKED = "locked"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """What can happen to a card."""

    PRODUCE = "produce"  # 制卡: the card maker is told
    DISPATCH = "dispatch"  # 寄送: the card maker sent it
    HAND_OVER = "hand_over"  # 领卡: the counter gave it to its holder
    ENABLE = "enable"  # 启用
    REPORT_LOSS = "report_loss"  # 挂失
    RECOVER = "recover"  # 解挂


STEPS: Mapping[Step, tuple[frozenset[State], State]] = MappingProxyType(
    {
        Step.PRODUCE: (frozenset({State.APPLIED}), State.IN_PRODUCTION),
        Step.DISPATCH: (frozenset({State.IN_PRODUCTION}), State.DISPATCHED),
        Step.HAND_OVER: (frozenset({State.DISPATCHED}), State.DORMANT),
        Step.ENABLE: (frozenset({State.DORMANT}), State.ACTIVE),
        Step.REPORT_LOSS: (frozenset({State.ACTIVE}), State.TEMPORARILY_LOST),
        Step.RECOVER: (frozenset({State.TEMPORARILY_LOST}), State.ACTIVE),
    }
)
"""Step -> the states that it may start from, and the one that it leads to."""


class CardNotInState(Conflict):
    """The card is in a state from which this step does not lead on."""

    code = "card-not-in-state"


class CardExists(Conflict):
    """The citizen has a living card already: one person, one card."""

    code = "card-exists"


class HolderNotKnownYet(Conflict):
    """The person enrolled a moment ago and has not reached the card service yet."""

    code = "holder-not-known-yet"


class CardNotFound(NotFound):
    """There is no such card for this caller."""

    code = "card-not-found"


class NoStateThen(NotFound):
    """The card did not exist at that moment."""

    code = "card-no-state-then"


@dataclass(frozen=True, kw_only=True)
class Card:
    """One card: the physical one and the e-card, which share everything."""

    id: UUID  # known inside this service's cell only
    handle: UUID  # known outside, sealed inside card codes
    citizen: UUID
    state: State
    level: Level  # 2 = a bank account is linked
    area: str  # of issue, GB/T 2260
    version: int  # counts changes, from 1
    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class SignedCard:
    """A card together with the number by which one channel knows it (签发号)."""

    card: Card
    sign: UUID


def apply_for_card(card_id: UUID, *, handle: UUID, citizen: UUID, level: Level, area: str, now: datetime) -> Card:
    """Begin the life of a card (申领)."""
    return Card(
        id=card_id,
        handle=handle,
        citizen=citizen,
        state=State.APPLIED,
        level=level,
        area=area,
        version=1,
        changed_at=now,
    )


def take(step: Step, card: Card, now: datetime) -> Card:
    """Move `card` one step on; raises CardNotInState when the table does not allow it."""
    allowed, leads_to = STEPS[step]
    if card.state not in allowed:
        wanted = " or ".join(sorted(allowed))
        raise CardNotInState(f"The card is {card.state}; to {step.replace('_', ' ')} it, it has to be {wanted}.")
    return replace(card, state=leads_to, version=card.version + 1, changed_at=now)
