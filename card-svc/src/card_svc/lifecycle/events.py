"""A card after a step -> the event that is promised for it."""

from typing import TypeVar

from card_svc.lifecycle.domain import Card, Step
from contracts.events.card import (
    CardApplied,
    CardDispatched,
    CardEnabled,
    CardEvent,
    CardHandedOver,
    CardInProduction,
    CardRecovered,
    CardReportedLost,
)

Told = TypeVar("Told", bound=CardEvent)

_SHAPES: dict[Step, type[CardEvent]] = {
    Step.PRODUCE: CardInProduction,
    Step.DISPATCH: CardDispatched,
    Step.HAND_OVER: CardHandedOver,
    Step.ENABLE: CardEnabled,
    Step.REPORT_LOSS: CardReportedLost,
    Step.RECOVER: CardRecovered,
}


def card_applied(card: Card) -> CardApplied:
    """Tell that a card was applied for."""
    return _told(CardApplied, card)


def card_moved(step: Step, card: Card) -> CardEvent:
    """Tell that `card` has taken `step`."""
    return _told(_SHAPES[step], card)


def _told(shape: type[Told], card: Card) -> Told:
    return shape(
        card=card.id,
        handle=card.handle,
        citizen=card.citizen,
        state=card.state.value,
        level=card.level,
        area=card.area,
        version=card.version,
    )
