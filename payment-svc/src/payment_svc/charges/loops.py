"""Time -> use case: ask the bank about what it has not decided."""

from chassis.looping import Loop
from chassis.work import Workshop
from payment_svc.charges.adapters import Bank
from payment_svc.charges.use_cases.settling import settle_due


def settling_loop(workshop: Workshop, bank: Bank) -> Loop:
    """Return the loop that brings every open payment and refund to its end."""

    async def turn() -> bool:
        return await settle_due(workshop, bank) > 0

    return Loop("settling", turn, idle_s=0.2)
