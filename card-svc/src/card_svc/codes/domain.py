"""Who may show a code: the holder of an active card."""

from card_svc.lifecycle.domain import Card, State
from chassis.errors import Conflict


class CardNotActive(Conflict):
    """Only an active card shows a code."""

    code = "card-not-active"


def refuse_unless_active(card: Card) -> None:
    """Raise CardNotActive for a card that is lost, dormant or ended."""
    if card.state is not State.ACTIVE:
        raise CardNotActive(f"The card is {card.state}; only an active card shows a code.")
