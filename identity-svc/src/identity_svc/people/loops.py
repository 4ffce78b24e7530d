"""Time -> use case: forget enrolments that have ended, once a minute."""

from chassis.looping import Loop
from chassis.work import Workshop
from identity_svc.people.use_cases import EnrolmentDesk, forget_old_enrolments


def forgetting_loop(desk: EnrolmentDesk, workshop: Workshop) -> Loop:
    """Return the loop that deletes what need not be known any more."""

    async def turn() -> bool:
        return await forget_old_enrolments(desk, workshop)

    return Loop("forgetting enrolments", turn, idle_s=60.0)
