"""Time -> use case: look after production batches once a second."""

from card_svc.production.adapters import CardMaker, Names
from card_svc.production.use_cases import pursue_due_batches
from chassis.looping import Loop
from chassis.work import Workshop


def production_loop(workshop: Workshop, maker: CardMaker, names: Names) -> Loop:
    """Return the loop that sends batches to the card maker and asks after them."""

    async def turn() -> bool:
        return await pursue_due_batches(workshop, maker, names) > 0

    return Loop("production", turn, idle_s=1.0)
