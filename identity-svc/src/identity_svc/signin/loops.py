"""Time -> use case: delete what tokens and sign-ins need no more."""

from chassis.looping import Loop
from chassis.work import Workshop
from identity_svc.signin.store import forget_outlived as forget_sign_ins
from identity_svc.tokens.store import forget_outlived as forget_tokens

EVERY_S = 60.0


def forgetting_loop(workshop: Workshop) -> Loop:
    """Return the loop that deletes expired codes, outside tokens, sign-ins, sessions and counters."""

    async def turn() -> bool:
        async with workshop.begin() as work:
            await forget_tokens(work.session, work.now)
            await forget_sign_ins(work.session, work.now)
        return False

    return Loop("forgetting sign-ins", turn, idle_s=EVERY_S)
