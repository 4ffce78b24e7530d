"""The lease, the fence, and what a leader does when it starts, is overtaken, or gets a new key."""

import asyncio
from typing import Any

import asyncpg
import pytest

from chassis.crypto.signing import PrivateKey
from chassis.journal import chain, sealing
from chassis.journal.lease import STANDS_STILL_S, Fenced, Lease


class Moment:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_lease_that_nobody_holds_is_taken_at_once_and_by_one_only(cards: Any) -> None:
    async with cards.app() as one, cards.app() as two:
        taken = await asyncio.gather(Lease("one").try_take(one), Lease("two").try_take(two))
        assert sum(term is not None for term in taken) == 1


async def test_a_living_holder_is_left_alone_until_its_beat_stands_still(cards: Any) -> None:
    moment = Moment()
    async with cards.app() as holder, cards.app() as challenger:
        term = await Lease("holder").try_take(holder)
        lease = Lease("challenger", moment)
        assert await lease.try_take(challenger) is None
        moment.now += STANDS_STILL_S - 0.1
        assert await lease.try_take(challenger) is None
        await Lease.renew(holder, term.term, term.beat + 1)
        moment.now += 0.2
        assert await lease.try_take(challenger) is None  # it moved: the wait begins anew
        moment.now += STANDS_STILL_S
        overtaken = await lease.try_take(challenger)
        assert overtaken is not None
        assert overtaken.term == term.term + 1
        assert overtaken.beat > term.beat + 1
        with pytest.raises(Fenced):
            await Lease.renew(holder, term.term, term.beat + 2)


async def test_a_holder_whose_session_is_gone_is_overtaken_at_once(cards: Any) -> None:
    async with cards.app() as challenger:
        async with cards.app() as holder:
            assert await Lease("holder").try_take(holder)
            lease = Lease("challenger", Moment())
            assert await lease.try_take(challenger) is None
            holder.terminate()

        async def taken() -> bool:
            return await lease.try_take(challenger) is not None

        for _ in range(200):
            if await taken():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the lease of a dead session was not taken")


async def test_a_lease_that_was_given_back_is_taken_at_once(cards: Any) -> None:
    async with cards.app() as one, cards.app() as two:
        term = await Lease("one").try_take(one)
        await Lease.release(one, term.term)
        assert await Lease("two").try_take(two)


async def test_an_old_leader_can_write_no_block(cards: Any, rig: Any) -> None:
    async with cards.app() as old, cards.app() as new:
        term = await Lease("old").try_take(old)
        await Lease.release(old, term.term)
        newer = await Lease("new").try_take(new)
        signer = rig.keys["card"]["2026-1"]
        block = chain.Block(
            source="330000/card",
            term=term.term,
            beat=9,
            last=0,
            to_id=0,
            as_of=1,
            events_root=b"e",
            records_root=b"r",
            alg="ES256",
            kid="2026-1",
            next_kid=None,
            **sealing.successor_fields(None),
        )
        with pytest.raises(Fenced):
            await sealing.insert_block(old, chain.seal(block, signer))
        assert await new.fetchval("SELECT count(*) FROM journal_block") == 0
        right = chain.seal(chain.Block(**(vars(block) | {"term": newer.term})), signer)
        await sealing.insert_block(new, right)
        with pytest.raises(asyncpg.UniqueViolationError):  # the second fence
            await sealing.insert_block(new, right)


async def test_a_second_process_takes_over_when_the_first_stops_and_the_chain_goes_on(rig: Any) -> None:
    first, second = await rig.tell(), await rig.tell()
    await rig.follow()
    await rig.until(lambda: first.status().leading or second.status().leading, "a leader")
    leading, waiting = (first, second) if first.status().leading else (second, first)
    await rig.cards.say(rig.event("a", 1))
    await rig.settled()
    assert not waiting.status().leading
    await leading.stop()
    await rig.cards.say(rig.event("a", 2))
    await rig.settled()
    assert waiting.status().leading
    assert await rig.payments.versions() == [("a", 1), ("a", 2)]
    assert (await rig.verdict()).is_right


async def test_a_leader_that_lost_its_lease_stops_and_is_counted_as_fenced(rig: Any) -> None:
    journal = await rig.tell()
    await rig.until(lambda: journal.status().leading, "a leader")
    await rig.cards.change("UPDATE journal_lease SET term = term + 1, holder = 'other', backend = pg_backend_pid()")
    await rig.cards.say(rig.event("a", 1))
    journal.wake()
    await rig.until(lambda: journal.status().fenced == 1, "the fence")


async def test_a_leader_whose_session_is_ended_comes_back(rig: Any) -> None:
    journal = await rig.tell()
    await rig.follow()
    await rig.until(lambda: journal.status().leading, "a leader")
    await rig.cards.value("SELECT pg_terminate_backend(backend) FROM journal_lease")
    await rig.cards.say(rig.event("a", 1))
    await rig.settled()
    assert await rig.payments.versions() == [("a", 1)]


async def test_a_new_key_is_announced_by_the_old_one_and_signs_from_then_on(rig: Any) -> None:
    first = await rig.tell()
    await rig.cards.say(rig.event("a", 1))
    await rig.sealed()
    await first.stop()
    rig.keys["card"]["2026-2"] = PrivateKey.generate("2026-2")
    await rig.tell()
    await rig.follow()
    await rig.cards.say(rig.event("a", 2))
    await rig.settled()
    blocks = await rig.cards.fetch("SELECT kid, next_kid, last - first + 1 AS events FROM journal_block ORDER BY n")
    assert [tuple(b) for b in blocks] == [("2026-1", None, 1), ("2026-1", "2026-2", 0), ("2026-2", None, 1)]
    assert await rig.payments.versions() == [("a", 1), ("a", 2)]
    assert (await rig.verdict()).is_right


async def test_a_leader_without_the_key_of_the_chain_says_so_and_seals_nothing(rig: Any) -> None:
    first = await rig.tell()
    await rig.cards.say(rig.event("a", 1))
    await rig.sealed()
    await first.stop()
    rig.keys["card"] = {"2026-2": PrivateKey.generate("2026-2")}
    second = await rig.tell()
    await rig.until(lambda: "2026-1, which is not mounted" in second.status().error, "the reason")
    assert await rig.cards.value("SELECT max(n) FROM journal_block") == 1
