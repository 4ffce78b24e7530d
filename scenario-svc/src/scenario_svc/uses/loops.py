"""Time -> use case: see charges and refunds that got no answer to their end."""

from chassis.looping import Loop
from chassis.work import Workshop
from scenario_svc.uses.adapters import Payments
from scenario_svc.uses.use_cases import pursue_open_refunds, pursue_open_uses


def settling_loop(workshop: Workshop, payments: Payments) -> Loop:
    """Return the loop that pursues what is open."""

    async def turn() -> bool:
        pursued = await pursue_open_uses(workshop, payments)
        return pursued + await pursue_open_refunds(workshop, payments) > 0

    return Loop("settling", turn, idle_s=0.5)
