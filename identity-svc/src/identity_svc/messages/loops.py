"""Time -> use case: send what lies in the outbox.

Its pace is its own: were it woken by the request that queued a message, the answers of a matching and a
non-matching enrolment could be told apart by what the process does meanwhile.
"""

from chassis.crypto.fields import FieldKeys
from chassis.looping import Loop
from chassis.work import Workshop
from identity_svc.messages.adapters import SmsProvider
from identity_svc.messages.use_cases import send_due_messages


def sms_loop(workshop: Workshop, fields: FieldKeys, provider: SmsProvider, *, every_s: float) -> Loop:
    """Return the loop that sends text messages."""

    async def turn() -> bool:
        return await send_due_messages(workshop, fields, provider)

    return Loop("text messages", turn, idle_s=every_s)
