"""Follows one source: takes its blocks from NATS while they fit, and reads from the source's journal when not.

Invariant: only a verified chain that continues the cursor's is applied. What is wrong on the wire is thrown away and
read; what is wrong in the source's own answer is a fork, is never adopted, and shows as a growing age.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nats.aio.msg import Msg

from chassis.bus import Interest, Receive
from chassis.journal import chain
from chassis.journal.applying import AppliedCounts, Applier, Moved, Sealed, TooManySetAside, Unwell, Works
from chassis.journal.keys import Verifiers
from chassis.journal.reading import decode_answer, encode_question
from chassis.journal.received import Handler, Received
from chassis.journal.transient import is_transient

__all__ = ["Follower", "FollowerState", "Handler", "Received"]

log = logging.getLogger(__name__)

QUEUE_MAX = 128
NEWS_WITHIN_S = 1.5
ANSWER_WITHIN_S = 1.0
BATCH_MAX_EVENTS = 10_000
AGAIN_S = 0.25
STOPPED_S = 5.0
LOOK_FOR_DUE_S = 1.0
"""An operator may make a key due at any time."""


class Listens(Protocol):
    """The part of the bus that a follower needs."""

    async def subscribe(self, subject: str, receive: Receive, *, queue: str = "") -> Interest: ...
    async def unsubscribe(self, interest: Interest) -> None: ...
    async def request(self, subject: str, message: bytes, *, timeout_s: float) -> bytes | None: ...


class Forked(Exception):
    """The source's own answer contradicts what this consumer has already applied."""


@dataclass
class FollowerState:
    """What operators see; of this process only."""

    state: str = "starting"  # following, unanswered, unwell, forked, stopped
    reason: str = ""
    standing: chain.Standing = field(default_factory=chain.Standing)
    blocks: int = 0
    wrong_on_the_wire: int = 0
    dropped_by_full_queue: int = 0
    reads: int = 0
    unanswered: int = 0
    counts: AppliedCounts = field(default_factory=AppliedCounts)

    def age_s(self, now_s: float) -> float:
        """How old what this follower knows is, by this process's clock."""
        return max(0.0, now_s - self.standing.as_of / 1_000_000)


class Follower:
    """Runs for ever in the process that holds its service's lease."""

    def __init__(
        self, *, source: str, cell: str, handler: Handler, works: Works, bus: Listens, verifiers: Verifiers
    ) -> None:
        self._source = source
        self._chain = f"{cell}/{source}"
        self._bus = bus
        self._verifiers = verifiers
        self._applier = Applier(source, handler, works)
        self._news: asyncio.Queue[tuple[bool, bytes]] = asyncio.Queue(QUEUE_MAX)
        self._at = chain.Standing()
        self._retry_at = 0.0
        self._heard_at = 0.0
        self.state = FollowerState(counts=self._applier.counts)

    async def run(self) -> None:
        """Follow until cancelled; any failure is said, waited out and begun again from the cursor."""
        interests = [
            await self._bus.subscribe(f"journal.{self._source}.block", self._on_block),
            await self._bus.subscribe(f"journal.{self._source}.head", self._on_head),
        ]
        try:
            while True:
                wait_s = await self._follow()
                await asyncio.sleep(wait_s)
        finally:
            for interest in interests:
                await self._bus.unsubscribe(interest)

    async def _follow(self) -> float:
        """Follow until something goes wrong; return how long to wait then."""
        try:
            self._show(await self._applier.load())
            # Before the reading: a follower that stopped over too many failures gets well through these.
            await self._retry_due()
            await self._read()
            while True:
                await self._turn()
        except Moved as error:
            log.info("following %s: %s", self._source, error)
            return 0.0
        except Unwell as error:
            return self._not_well("unwell", error, AGAIN_S)
        except TooManySetAside as error:
            return self._not_well("stopped", error, STOPPED_S)
        except Exception as error:
            if is_transient(error):
                return self._not_well("unwell", error, AGAIN_S)
            # Not an event's fault and not the network's: ours. Going on from the cursor is always right.
            log.exception("following %s failed", self._source)
            return self._not_well("unwell", error, STOPPED_S)

    def _not_well(self, state: str, error: Exception, wait_s: float) -> float:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if (state, reason) != (self.state.state, self.state.reason):
            log.error("following %s: %s: %s", self._source, state, reason)
        self.state.state, self.state.reason = state, reason
        return wait_s

    async def _on_block(self, message: Msg) -> None:
        self._take_news(True, message.data)

    async def _on_head(self, message: Msg) -> None:
        self._take_news(False, message.data)

    def _take_news(self, is_block: bool, data: bytes) -> None:
        try:
            self._news.put_nowait((is_block, data))
        except asyncio.QueueFull:
            self.state.dropped_by_full_queue += 1

    async def _turn(self) -> None:
        """Take what came, apply what fits, read what is missing, try again what is due."""
        ask = await self._take_from_wire(await self._drain())
        if time.monotonic() - self._heard_at >= NEWS_WITHIN_S:
            ask = True
        if ask:
            await self._read()
        if time.monotonic() >= self._retry_at:
            await self._retry_due()

    async def _retry_due(self) -> None:
        before = self._applier.counts.retries_failed
        due_in_s = await self._applier.retry_due(self._at)
        wait_s = LOOK_FOR_DUE_S if due_in_s is None else min(LOOK_FOR_DUE_S, max(0.0, due_in_s))
        self._retry_at = time.monotonic() + wait_s
        if self._applier.counts.retries_failed > before:
            log.warning("following %s: events that are set aside failed again", self._source)

    async def _drain(self) -> list[tuple[bool, bytes]]:
        """Return all that has come; wait for the first, until silence is long or a retry is due."""
        until = min(self._heard_at + NEWS_WITHIN_S, self._retry_at)
        news: list[tuple[bool, bytes]] = []
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                news.append(await self._news.get())
        except TimeoutError:
            return news
        while not self._news.empty():
            news.append(self._news.get_nowait())
        return news

    async def _take_from_wire(self, news: Sequence[tuple[bool, bytes]]) -> bool:
        """Apply the blocks that continue the chain; whether the source must be asked for more."""
        ask = False
        run: list[Sealed] = []
        end, head = self._at, None
        for is_block, data in news:
            try:
                if not is_block:
                    head = chain.decode_head(data)
                    continue
                block, rows = chain.decode_block(data)
                if block.source == self._chain and block.n <= end.block:
                    continue  # seen before; wrong or not, it can change nothing
                if block.n > end.block + 1:
                    ask = True
                    continue
                self._check(block, rows, end)
            except (chain.Malformed, chain.Wrong) as error:
                self.state.wrong_on_the_wire += 1
                log.warning("following %s: thrown away what came: %s", self._source, error)
                ask = True
                continue
            run.append((block, rows))
            end, head = end.after(block), None
        await self._apply(run)
        return await self._hear(head) or ask

    async def _hear(self, head: chain.Head | None) -> bool:
        """Believe the newest heartbeat's time when it shows the block at which we stand; whether to ask."""
        if head is None:
            return False
        if head.source != self._chain or not chain.is_signed_head(head, self._verifiers):
            self.state.wrong_on_the_wire += 1
            return True
        if head.n != self._at.block or head.hash != self._at.head or not self._at.allows(head.kid):
            return True
        if head.beat > self._at.beat:
            self._show(await self._believe(head))
            self._well()
        return False

    async def _believe(self, head: chain.Head) -> chain.Standing:
        try:
            return await self._applier.believe(self._at, head.beat, head.as_of)
        except Exception as error:
            raise Unwell(str(error)) from error

    async def _read(self) -> None:
        """Ask the source for what comes after our block until there is no more; no answer is no harm."""
        while True:
            self.state.reads += 1
            self._heard()  # asked again when this long silent again, answered or not
            question = encode_question(self._at.block)
            data = await self._bus.request(f"journal.{self._source}.read", question, timeout_s=ANSWER_WITHIN_S)
            if data is None:
                self.state.unanswered += 1
                if self.state.state != "forked":
                    self.state.state, self.state.reason = "unanswered", "the source does not answer"
                return
            try:
                newest = await self._take_answer(data)
            except Forked as error:
                self._not_well("forked", error, 0.0)
                return
            self._well()
            if self._at.block >= newest:
                return

    async def _take_answer(self, data: bytes) -> int:
        try:
            answer = decode_answer(data)
            if answer.newest < self._at.block:
                raise Forked(f"the source ends at block {answer.newest}, we have applied {self._at.block}")
            if answer.at != self._at.head:
                raise Forked(f"the source's block {self._at.block} is not the one that we have applied")
            if answer.newest > self._at.block and not answer.blocks:
                raise Forked(f"the source has block {answer.newest} and does not show {self._at.block + 1}")
            end = self._at
            for block, rows in answer.blocks:
                self._check(block, rows, end)
                end = end.after(block)
        except (chain.Malformed, chain.Wrong) as error:
            raise Forked(f"in the source's answer after block {self._at.block}: {error}") from None
        await self._apply(answer.blocks)
        return answer.newest

    def _check(self, block: chain.Block, rows: Sequence[chain.SealedRow], before: chain.Standing) -> None:
        if block.source != self._chain:
            raise chain.Wrong(f"it is of the journal {block.source!r}")
        chain.check_block(block, rows, before, self._verifiers)

    async def _apply(self, run: Sequence[Sealed]) -> None:
        """Apply checked blocks, a bounded number of events in each transaction."""
        batch: list[Sealed] = []
        size = 0
        for sealed in run:
            if batch and size + len(sealed[1]) > BATCH_MAX_EVENTS:
                await self._apply_batch(batch)
                batch, size = [], 0
            batch.append(sealed)
            size += len(sealed[1])
        if batch:
            await self._apply_batch(batch)

    async def _apply_batch(self, batch: Sequence[Sealed]) -> None:
        before = self._applier.counts.set_aside
        self._show(await self._applier.take(self._at, batch))
        self._well()
        self.state.blocks += len(batch)
        if self._applier.counts.set_aside > before:
            self._retry_at = 0.0
            log.error("following %s: %d events set aside", self._source, self._applier.counts.set_aside - before)

    def _show(self, standing: chain.Standing) -> None:
        self._at = self.state.standing = standing

    def _well(self) -> None:
        """The source's word fits ours: whatever was wrong before is over."""
        self.state.state, self.state.reason = "following", ""
        self._heard()

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
