"""A service's runtime with its journal: bus, leader and followers, in the order in which they start."""

from collections.abc import Mapping
from typing import TypeVar

from chassis.bus import Bus
from chassis.journal.journal import Journal
from chassis.journal.keys import JournalKeys
from chassis.journal.received import Handler
from chassis.runtime import Runtime
from chassis.settings import ServiceSettings
from contracts.edges import FOLLOWS

S = TypeVar("S", bound=ServiceSettings)


def journaled(runtime: Runtime[S], follows: Mapping[str, Handler]) -> tuple[Runtime[S], Bus, Journal]:
    """Give `runtime` its journal; `follows` maps each source of `contracts.edges.FOLLOWS` to its handler.

    Returns the runtime whose commits wake the leader, and the two parts to start, in this order.
    """
    if set(follows) != set(FOLLOWS[runtime.service]):
        raise ValueError(f"{runtime.service}-svc must follow exactly {FOLLOWS[runtime.service]}")
    bus = Bus(runtime.settings.nats_url, name=runtime.service, seed=runtime.keys.nats_seed())
    awake: list[Journal] = []
    waking = runtime.waking(lambda: awake[0].wake())
    journal = Journal(
        service=runtime.service,
        cell=runtime.settings.cell,
        direct_url=runtime.settings.direct_url,
        workshop=waking.workshop,
        bus=bus,
        keys=JournalKeys.from_folder(runtime.keys, follows={*follows, runtime.service}),
        follows=dict(follows),
    )
    awake.append(journal)
    return waking, bus, journal
