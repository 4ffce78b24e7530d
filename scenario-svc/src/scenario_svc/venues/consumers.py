"""What scenario-svc follows of identity-svc: which terminals exist and are active."""

from collections.abc import Sequence

from chassis.journal.received import Received
from chassis.work import Work
from contracts.events.envelope import decode
from contracts.events.identity import ClientRegistered, ClientSuspended
from scenario_svc.venues.store import KnownClients

_SHAPES: dict[str, type[ClientRegistered] | type[ClientSuspended]] = {
    ClientRegistered.topic: ClientRegistered,
    ClientSuspended.topic: ClientSuspended,
}


async def know_clients(work: Work, events: Sequence[Received]) -> None:
    """Keep what terminals there are."""
    told = [decode(_SHAPES[received.topic], received.body).event for received in events if received.topic in _SHAPES]
    await KnownClients(work.session).know(told)
