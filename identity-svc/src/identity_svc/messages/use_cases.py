"""Queue a text message inside a transaction; send what is queued outside of any.

Invariant: no message is sent for a transaction that did not commit, and no transaction is open while one is sent.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog

from chassis.crypto.fields import FieldKeys
from chassis.egress import OutsideDown
from chassis.work import Work, Workshop
from identity_svc.messages.adapters import SmsProvider
from identity_svc.messages.domain import Sms
from identity_svc.messages.store import SmsOutbox

AT_ONCE: Final = 5
LEASE: Final = timedelta(seconds=30)
"""Longer than five messages take at the provider's deadline, so that no two loops send the same one."""
NEXT_TRY: Final = timedelta(seconds=2)

_log = structlog.get_logger(__name__)


async def queue_sms(
    work: Work, fields: FieldKeys, *, phone: str, words: str, until: datetime, withheld: bool = False
) -> None:
    """Have `words` sent to `phone` soon after this Work has committed, unless it is past `until` by then.

    `withheld` queues a message that costs the same and is never sent: nobody can tell by the time which it was.
    """
    outbox = SmsOutbox(work.session, fields)
    await outbox.add(work.new_id(), phone=phone, words=words, withheld=withheld, now=work.now, until=until)


async def send_due_messages(workshop: Workshop, fields: FieldKeys, provider: SmsProvider) -> bool:
    """Send up to five messages that are due, and say whether there were any.

    What the provider does not take is tried again two seconds later.
    """
    async with workshop.begin() as work:
        claimed = await SmsOutbox(work.session, fields).claim(work.now, lease=LEASE, limit=AT_ONCE)
    for sms in claimed:
        taken = await _taken(provider, sms) if sms.to_be_sent else True
        async with workshop.begin() as work:
            outbox = SmsOutbox(work.session, fields)
            if taken:
                await outbox.forget(sms.id)
            else:
                await outbox.postpone(sms.id, work.now + NEXT_TRY)
    return bool(claimed)


async def _taken(provider: SmsProvider, sms: Sms) -> bool:
    try:
        await provider.send(sms)
    except OutsideDown as down:
        _log.warning("sms not taken", sms=str(sms.id), reason=str(down))
        return False
    return True
