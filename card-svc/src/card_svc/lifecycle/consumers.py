"""What card-svc follows of identity-svc: who may hold a card."""

from collections.abc import Sequence

from card_svc.lifecycle.store import HolderStore
from chassis.journal.received import Received
from chassis.work import Work
from contracts.events.envelope import decode
from contracts.events.identity import PersonEnrolled


async def know_holders(work: Work, events: Sequence[Received]) -> None:
    """Keep the area of every enrolled person, so that an application needs no question to identity-svc."""
    enrolled = [
        decode(PersonEnrolled, received.body).event for received in events if received.topic == PersonEnrolled.topic
    ]
    if enrolled:
        await HolderStore(work.session).remember(enrolled)
