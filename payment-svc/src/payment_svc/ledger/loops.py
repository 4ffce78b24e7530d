"""Time -> use case: tell custodians of new accounts."""

from chassis.looping import Loop
from chassis.work import Workshop
from payment_svc.ledger.adapters import Custody
from payment_svc.ledger.use_cases import tell_custodians


def opening_loop(workshop: Workshop, custody: Custody) -> Loop:
    """Return the loop that opens accounts at their custodian."""

    async def turn() -> bool:
        return await tell_custodians(workshop, custody) > 0

    return Loop("account opening", turn, idle_s=0.5)
