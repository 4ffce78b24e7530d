"""What payment-svc follows of card-svc: who has a card that pays."""

from collections.abc import Sequence

from chassis.journal.received import Received
from chassis.work import Work
from contracts.events.card import CardEnabled
from contracts.events.envelope import decode
from payment_svc.ledger.use_cases import open_accounts

LEVEL_WITH_BANK_ACCOUNT = 2


async def open_accounts_of_enabled_cards(work: Work, events: Sequence[Received]) -> None:
    """Give every holder of an enabled card that pays an account; a second card finds it there."""
    enabled = [decode(CardEnabled, received.body).event for received in events if received.topic == CardEnabled.topic]
    holders = {card.citizen: None for card in enabled if card.level == LEVEL_WITH_BANK_ACCOUNT}
    if holders:
        await open_accounts(work, list(holders))
