"""An account -> the event that is promised for it."""

from uuid import UUID

from contracts.events.payment import AccountOpened
from payment_svc.ledger.domain import BANK


def account_opened(account: UUID, citizen: UUID) -> AccountOpened:
    """Tell that a citizen can be charged from now on."""
    return AccountOpened(account=account, citizen=citizen, custodian=BANK, version=1)
