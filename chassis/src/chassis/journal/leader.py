"""The leader: numbers committed events without gaps, seals all rows into blocks, and tells the world.

Invariant: every statement commits by itself, so a leader that is stopped holds no lock, and one that goes on after its
term can only fail. Nothing remembers what was published: a block that did not arrive is read by who misses it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import asyncpg

from chassis.database import direct_connection
from chassis.journal import chain, sealing
from chassis.journal.horizon import Horizon, Settling, end_holders, observe
from chassis.journal.keys import JournalKeys, KeyNotHeld
from chassis.journal.lease import Fenced, Lease, Term
from chassis.journal.transient import is_transient

log = logging.getLogger(__name__)

T = TypeVar("T")

STATEMENT_TIMEOUT_S = 10.0
SOON_AGAIN = 2
"""Most transactions that were open at a look have ended two milliseconds later; a slow one waits for ticks."""


class Publisher(Protocol):
    """The part of the bus that a leader needs."""

    async def publish(self, subject: str, message: bytes) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often the leader does what."""

    tick_s: float = 0.010  # for a second after work
    idle_s: float = 0.100
    settle_s: float = 0.002  # look again so soon, a few times, while writers are open at a horizon
    busy_for_s: float = 1.0
    beat_s: float = 0.9
    hold_max_s: float = 10.0  # a writer that keeps the horizon longer is ended
    challenge_s: float = 0.1
    again_s: float = 0.2  # after a failure


@dataclass
class LeaderState:
    """What operators see; of this process only."""

    leading: bool = False
    term: int = 0
    block: int = 0
    position: int = 0
    as_of: int = 0
    horizon_age_s: float = 0.0
    blocks_sealed: int = 0
    rows_sealed: int = 0
    published: int = 0
    not_published: int = 0
    fenced: int = 0
    holders_ended: int = 0
    error: str = ""


class Leader:
    """Runs for ever: challenges for the lease, leads while it holds it, starts again after any failure."""

    def __init__(
        self,
        *,
        service: str,
        cell: str,
        direct_url: str,
        keys: JournalKeys,
        bus: Publisher,
        holder: str,
        on_lead: Callable[[], Awaitable[None]] | None = None,
        on_end: Callable[[], Awaitable[None]] | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._service = service
        self._source = f"{cell}/{service}"
        self._direct_url = direct_url
        self._keys = keys
        self._bus = bus
        self._lease = Lease(holder)
        self._on_lead = on_lead
        self._on_end = on_end
        self._pace = pace or Pace()
        self._woken = asyncio.Event()
        self._settling = Settling()
        self._last: chain.Block | None = None
        self._kid = ""
        self._beat = 0
        self._told_at = 0.0
        self._ended_at = 0.0
        self.state = LeaderState()

    def wake(self) -> None:
        """Look at once instead of at the next idle tick; called after a commit."""
        self._woken.set()

    async def run(self) -> None:
        """Challenge and lead until cancelled."""
        while True:
            try:
                async with direct_connection(self._direct_url, application_name=f"journal {self._service}") as own:
                    await self._challenge_and_lead(own)
            except Fenced as error:
                self.state.fenced += 1
                self._failed(error)
            except Exception as error:
                # Whatever it was, beginning again from the last block is right; a leader that ended would not be.
                if not (is_transient(error) or isinstance(error, asyncpg.PostgresError | OSError | KeyNotHeld)):
                    log.exception("journal %s: leading failed", self._service)
                self._failed(error)
            await asyncio.sleep(self._pace.again_s if self.state.error else 0)

    def _failed(self, error: Exception) -> None:
        said = f"{type(error).__name__}: {error}"
        if said != self.state.error:
            log.warning("journal %s does not lead: %s", self._service, said)
        self.state.error = said

    async def _challenge_and_lead(self, connection: Any) -> None:
        while (term := await _bounded(self._lease.try_take(connection))) is None:
            self.state.error = ""
            await asyncio.sleep(self._pace.challenge_s)
        try:
            await self._resume(connection, term)
            if self._on_lead:
                await self._on_lead()
            await self._lead(connection)
        finally:
            self.state.leading = False
            try:
                if self._on_end:
                    await self._on_end()
            finally:
                await self._give_back(connection, term.term)

    async def _give_back(self, connection: Any, term: int) -> None:
        """Release the lease so that nobody has to wait; a lost connection releases it as well."""
        try:
            async with asyncio.timeout(1.0):
                await Lease.release(connection, term)
        except Exception:
            log.info("journal %s: the lease could not be given back", self._service)

    async def _resume(self, connection: Any, term: Term) -> None:
        self._last = last = await _bounded(sealing.last_block(connection, self._source))
        await _bounded(sealing.move_sequence(connection, last.to_id if last else 0))
        self._settling = Settling()
        self._beat = max(term.beat, last.beat if last else 0)
        self._kid = (last.next_kid or last.kid) if last else self._keys.current
        if self._kid not in self._keys.own:
            raise KeyNotHeld(f"The chain goes on with key {self._kid}, which is not mounted at journal/own.")
        self.state.leading, self.state.term, self.state.error = True, term.term, ""
        self._show(last)
        if self._kid != self._keys.current:
            await self._announce_key(connection)
        log.info("journal %s leads: term %d, block %d", self._service, term.term, self.state.block)

    async def _announce_key(self, connection: Any) -> None:
        """Seal an empty block with the old key that names the new one; from then on the new one signs."""
        at = self._last.to_id if self._last else 0
        as_of = self._last.as_of if self._last else 0
        await self._seal(connection, [], to_id=at, as_of=as_of, next_kid=self._keys.current)
        self._kid = self._keys.current

    async def _lead(self, connection: Any) -> None:
        busy_until = 0.0
        while True:
            started = time.monotonic()
            if await self._tick(connection):
                busy_until = time.monotonic() + self._pace.busy_for_s
                # What was seen while sealing is old by the next tick: begin that one with a new look.
                self._settling = Settling()
            waiting = started < busy_until or bool(self._settling.waiting)
            await self._pause(started, self._pace.tick_s if waiting else self._pace.idle_s)

    async def _pause(self, started: float, interval_s: float) -> None:
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + interval_s):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
        # Woken or not, looks are at least a tick apart: under load every commit wakes.
        await asyncio.sleep(max(0.0, started + self._pace.tick_s - time.monotonic()))

    async def _tick(self, connection: Any) -> bool:
        """Look, and look again soon while writers are open; seal what is settled; whether there was anything."""
        settled = self._settling.settle(await _bounded(observe(connection)))
        for _ in range(SOON_AGAIN):
            if settled is not None or self._settling.age_s > self._pace.tick_s:
                break
            await asyncio.sleep(self._pace.settle_s)
            settled = self._settling.settle(await _bounded(observe(connection)))
        self.state.horizon_age_s = self._settling.age_s
        worked = False
        if settled is not None:
            worked = await self._seal_up_to(connection, settled)
        elif self._settling.age_s > self._pace.hold_max_s:
            await self._end_holders(connection)
        if time.monotonic() - self._told_at >= self._pace.beat_s:
            await self._heartbeat(connection)
        return worked

    async def _end_holders(self, connection: Any) -> None:
        if time.monotonic() - self._ended_at < 1.0:
            return
        self._ended_at = time.monotonic()
        ended = await _bounded(end_holders(connection, self._settling.waiting))
        self.state.holders_ended += len(ended)
        log.warning(
            "journal %s: open for over %.0f s with a journal row: %s; ended sessions %s",
            *(self._service, self._pace.hold_max_s, sorted(self._settling.waiting), ended),
        )

    async def _seal_up_to(self, connection: Any, horizon: Horizon) -> bool:
        after = self._last.to_id if self._last else 0
        worked = horizon.upto > after
        if worked:
            async for rows, more in sealing.cut(connection, after, horizon.upto):
                as_of = self._last.as_of if self._last else 0
                if more:
                    await self._seal(connection, rows, to_id=rows[-1].id, as_of=as_of)
                else:
                    await self._seal(connection, rows, to_id=horizon.upto, as_of=horizon.as_of)
        self.state.as_of = horizon.as_of
        return worked

    async def _seal(
        self, connection: Any, rows: list[chain.SealedRow], *, to_id: int, as_of: int, next_kid: str | None = None
    ) -> None:
        events = [row for row in rows if row.kind == "e"]
        taken_over = sealing.successor_fields(self._last)
        events_root, records_root = chain.roots(rows)
        signer = self._keys.own[self._kid]
        block = chain.Block(
            source=self._source,
            term=self.state.term,
            beat=self._beat + 1,
            last=taken_over["first"] + len(events) - 1,
            to_id=to_id,
            as_of=as_of,
            events_root=events_root,
            records_root=records_root,
            alg=signer.alg,
            kid=self._kid,
            next_kid=next_kid,
            **taken_over,
        )
        sealed = chain.seal(block, signer)
        await _bounded(sealing.insert_block(connection, sealed))
        self._last, self._beat, self._told_at = sealed, sealed.beat, time.monotonic()
        self.state.blocks_sealed += 1
        self.state.rows_sealed += len(rows)
        self._show(sealed)
        await self._publish("block", chain.encode_block(sealed, events))

    async def _heartbeat(self, connection: Any) -> None:
        """Renew the lease and tell the chain's head again with the newest time; an empty chain has a head, too."""
        await _bounded(Lease.renew(connection, self.state.term, self._beat + 1))
        self._beat += 1
        self._told_at = time.monotonic()
        signer = self._keys.own[self._kid]
        head = chain.Head(
            source=self._source,
            term=self.state.term,
            beat=self._beat,
            n=self._last.n if self._last else 0,
            hash=self._last.hash if self._last else chain.GENESIS,
            as_of=self.state.as_of,
            alg=signer.alg,
            kid=self._kid,
        )
        await self._publish("head", chain.encode_head(chain.seal_head(head, signer)))

    async def _publish(self, what: str, message: bytes) -> None:
        if await self._bus.publish(f"journal.{self._service}.{what}", message):
            self.state.published += 1
        else:
            self.state.not_published += 1

    def _show(self, block: chain.Block | None) -> None:
        if block is not None:
            self.state.block, self.state.position, self.state.as_of = block.n, block.last, block.as_of


async def _bounded(statement: Awaitable[T]) -> T:
    async with asyncio.timeout(STATEMENT_TIMEOUT_S):
        return await statement
