"""The journal of one service: its leader, its followers and the answers it gives, wired together.

Invariant: numbering and following happen only in the process that holds the service's lease; every process of the
service answers reads. Neither PostgreSQL nor NATS has to be there for `start`, and `stop` is bounded.

    bus = Bus(settings.nats_url, name="card", seed=folder.nats_seed())
    workshop = Workshop(engine=engine, clock=clock, cell="330000", service="card", wake=lambda: journal.wake())
    journal = Journal(
        service="card",                                   # short name: subjects are journal.card.block, .head, .read
        cell="330000",                                    # the chain is that of "330000/card"
        direct_url=settings.database_direct_url,          # unpooled; the leader's own connection, autocommit
        workshop=workshop,                                # followers open their Work here
        bus=bus,
        keys=JournalKeys.from_folder(folder, follows={"identity"}),
        follows={"identity": apply_identity_events},      # exactly contracts.edges.FOLLOWS["card"]
    )
    await bus.start(); await journal.start()              # in the lifespan; both return at once
    …
    await journal.stop(); await bus.stop()                # at most about 5 s; releases the lease

A handler is `async def apply(work: Work, events: Sequence[Received]) -> None`. It gets events of one source in order,
each exactly once as far as its effects are in `work`'s transaction (the cursor moves in the same one), and it never
commits. Whatever it raises is the fault of an event: the batch is halved until that event stands alone and is set
aside with all later events of its key, and reads of the key must fail closed (`freshness`). Lost connections,
deadlocks and serialization failures count nothing and are tried again. Unknown topics are to be skipped by the
handler; it gets the whole journal. Erased events are not handed over.

In the service:  migrations `tables.create_journal(op.execute, "card_app")`;  age and unknown of what it shows
`freshness.read(connection, source, key)` or `freshness.columns(source, key)` inside its own query;  for operators
`journal.status()`, `operations.list_set_aside`, `operations.retry_set_aside`, `export.export_journal`;  for Prometheus
`REGISTRY.register(JournalCollector(journal))` of `chassis.journal.measures`.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping
from uuid import uuid4

from chassis.bus import Bus
from chassis.journal.applying import Works
from chassis.journal.follower import Follower
from chassis.journal.keys import JournalKeys
from chassis.journal.leader import Leader, Pace
from chassis.journal.reading import Reading
from chassis.journal.received import Handler
from chassis.journal.status import FollowerStatus, JournalStatus

log = logging.getLogger(__name__)

STOP_WITHIN_S = 5.0
FOLLOWERS_STOP_WITHIN_S = 2.0


class Journal:
    """See above; one for each process of a service."""

    def __init__(
        self,
        *,
        service: str,
        cell: str,
        direct_url: str,
        workshop: Works,
        bus: Bus,
        keys: JournalKeys,
        follows: Mapping[str, Handler],
        pace: Pace | None = None,
    ) -> None:
        missing = [source for source in follows if not keys.publics.get(source)]
        if missing:
            raise ValueError(f"There are no public keys of {', '.join(missing)}, which {service} follows.")
        self._service = service
        self._bus = bus
        self._leader = Leader(
            service=service,
            cell=cell,
            direct_url=direct_url,
            keys=keys,
            bus=bus,
            holder=f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}",
            on_lead=self._start_following,
            on_end=self._stop_following,
            pace=pace,
        )
        self._followers = {
            source: Follower(
                source=source, cell=cell, handler=handler, works=workshop, bus=bus, verifiers=keys.publics[source]
            )
            for source, handler in follows.items()
        }
        self._reading = Reading(service=service, cell=cell, works=workshop, bus=bus)
        self._leading: asyncio.Task[None] | None = None
        self._following: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Answer reads, challenge for the lease; returns at once, whether or not anything else is up."""
        await self._reading.start()
        self._leading = asyncio.create_task(self._leader.run(), name=f"journal {self._service}")
        self._leading.add_done_callback(self._ended)

    def _ended(self, leading: asyncio.Task[None]) -> None:
        """Say aloud what must not happen: the leader ended although nobody stopped it."""
        if self._leading is leading:
            log.critical("journal %s: the leader ended: %r", self._service, leading)

    async def stop(self) -> None:
        """Stop following, give the lease back, answer no more; takes at most STOP_WITHIN_S."""
        leading, self._leading = self._leading, None
        if leading is not None:
            leading.cancel()
            done, _ = await asyncio.wait([leading], timeout=STOP_WITHIN_S)
            if not done:
                log.error("journal %s did not stop in %.0f s", self._service, STOP_WITHIN_S)
        await self._reading.stop()

    def wake(self) -> None:
        """Tell the leader in this process that something was committed."""
        self._leader.wake()

    def status(self) -> JournalStatus:
        """Say what an operator wants to know of this process."""
        leader, now_s = self._leader.state, time.time()
        return JournalStatus(
            service=self._service,
            leading=leader.leading,
            term=leader.term,
            block=leader.block,
            position=leader.position,
            horizon_age_s=round(leader.horizon_age_s, 3),
            blocks_sealed=leader.blocks_sealed,
            rows_sealed=leader.rows_sealed,
            fenced=leader.fenced,
            holders_ended=leader.holders_ended,
            error=leader.error,
            nats_connected=self._bus.is_connected,
            nats_refusals=self._bus.refusals,
            reads_answered=self._reading.answered,
            followers={
                source: FollowerStatus.of(follower.state, now_s) for source, follower in self._followers.items()
            },
        )

    async def _start_following(self) -> None:
        self._following = [
            asyncio.create_task(follower.run(), name=f"{self._service} follows {source}")
            for source, follower in self._followers.items()
        ]

    async def _stop_following(self) -> None:
        """Cancel the followers; one that does not end in time is left behind, the cursor's lock fences it."""
        following, self._following = self._following, []
        for task in following:
            task.cancel()
        if following:
            await asyncio.wait(following, timeout=FOLLOWERS_STOP_WITHIN_S)
