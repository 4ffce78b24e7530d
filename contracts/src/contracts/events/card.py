"""What card-svc tells the others: the whole state of a card after each step of its life."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.events.envelope import Event

CardState = Literal[
    "applied",
    "in_production",
    "dispatched",
    "dormant",  # 封存: handed over, not yet enabled
    "active",
    "temporarily_lost",
    "lost",
    "locked",
    "expired",
    "cancelled",
]


class CardEvent(Event):
    """A card's whole state after a change; `version` counts the changes from 1."""

    key_field: ClassVar[str] = "card"

    card: UUID  # the internal id: never leaves the cell
    handle: UUID  # by which the card is known outside, sealed inside a card code
    citizen: UUID
    state: CardState
    level: Literal[1, 2]  # 1 = identity and queries, 2 = bank account linked: payment works
    area: str = Field(pattern=r"^[0-9]{6}$")  # of issue, GB/T 2260
    version: int = Field(ge=1)


class CardApplied(CardEvent):
    """A citizen asked for a card (申领)."""

    topic: ClassVar[str] = "card.card.applied.v1"


class CardInProduction(CardEvent):
    """The card maker was told to make the card (制卡)."""

    topic: ClassVar[str] = "card.card.in_production.v1"


class CardDispatched(CardEvent):
    """The card maker sent the card to the counter (寄送)."""

    topic: ClassVar[str] = "card.card.dispatched.v1"


class CardHandedOver(CardEvent):
    """The counter gave the card to its holder; it lies dormant (封存) until enabled."""

    topic: ClassVar[str] = "card.card.handed_over.v1"


class CardEnabled(CardEvent):
    """The holder enabled the card (启用)."""

    topic: ClassVar[str] = "card.card.enabled.v1"


class CardReportedLost(CardEvent):
    """The holder reported the card lost (挂失); it stops everywhere."""

    topic: ClassVar[str] = "card.card.reported_lost.v1"


class CardRecovered(CardEvent):
    """The holder found the card again (解挂)."""

    topic: ClassVar[str] = "card.card.recovered.v1"


CARD_EVENTS: dict[str, type[CardEvent]] = {
    shape.topic: shape
    for shape in (
        CardApplied,
        CardInProduction,
        CardDispatched,
        CardHandedOver,
        CardEnabled,
        CardReportedLost,
        CardRecovered,
    )
}
"""Every topic that changes a card's state."""
