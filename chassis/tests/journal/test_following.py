"""A follower gets everything once and in order, whatever the wire does, and is never talked into another history."""

import asyncio
import json
from typing import Any

import pytest

from chassis.bus import Bus

FORGET_THREE_BLOCKS = """
DELETE FROM journal_block WHERE n > (SELECT max(n) - 3 FROM journal_block);
DELETE FROM journal_row WHERE id > (SELECT max(to_id) FROM journal_block)
"""


async def blocks_of_one(rig: Any, names: str) -> None:
    """Say one event a block."""
    for name in names:
        await rig.cards.say(rig.event(name, 1))
        await rig.sealed()


def follower_of(journal: Any) -> Any:
    return journal.status().followers["card"]


async def test_what_is_committed_is_applied_in_order(rig: Any) -> None:
    await rig.tell()
    await rig.follow()
    for version in range(30):
        await rig.cards.say(rig.event("a", version), rig.event("b", version))
    await rig.settled()
    assert await rig.payments.versions() == [(key, v) for v in range(30) for key in ("a", "b")]


async def test_a_consumer_that_comes_late_reads_from_the_beginning(rig: Any) -> None:
    await rig.tell()
    await blocks_of_one(rig, "abc")
    journal = await rig.follow()
    await rig.settled()
    assert await rig.payments.versions() == [("a", 1), ("b", 1), ("c", 1)]
    assert follower_of(journal).state == "following"


async def test_a_block_that_never_arrived_is_a_jump_and_is_read(rig: Any) -> None:
    await rig.tell()
    wire = rig.bus("payment")
    blocks: list[bytes] = []

    def lose_the_second(subject: str, data: bytes) -> list[bytes]:
        if subject.endswith(".block"):
            blocks.append(data)
            return [] if len(blocks) == 2 else [data]
        return [data]

    wire.arriving = lose_the_second
    journal = await rig.follow(bus=wire)
    await rig.until(lambda: follower_of(journal).state == "following", "the first answer")
    reads = follower_of(journal).reads
    await blocks_of_one(rig, "abc")
    await rig.settled()
    assert await rig.payments.versions() == [("a", 1), ("b", 1), ("c", 1)]
    assert len(blocks) == 3
    assert follower_of(journal).reads > reads


async def test_a_wrong_block_on_the_wire_is_thrown_away_and_read(rig: Any) -> None:
    await rig.tell()
    wire = rig.bus("payment")
    wire.arriving = lambda subject, data: [data.replace(b'"version', b'"Version')] if ".block" in subject else [data]
    journal = await rig.follow(bus=wire)
    await rig.until(lambda: follower_of(journal).state == "following", "the first answer")
    await blocks_of_one(rig, "a")
    data_came = follower_of(journal).wrong_on_the_wire
    wire.arriving = lambda subject, data: [data[:40] + b"~" + data[41:]] if ".block" in subject else [data]
    await blocks_of_one(rig, "b")
    await rig.settled()
    assert await rig.payments.versions() == [("a", 1), ("b", 1)]
    assert follower_of(journal).wrong_on_the_wire > data_came


async def test_blocks_that_come_twice_or_late_change_nothing(rig: Any) -> None:
    await rig.tell()
    wire = rig.bus("payment")
    old: list[bytes] = []

    def again(subject: str, data: bytes) -> list[bytes]:
        if not subject.endswith(".block"):
            return [data]
        old.append(data)
        return [*reversed(old), data]

    wire.arriving = again
    await rig.follow(bus=wire)
    await blocks_of_one(rig, "abcd")
    await rig.settled()
    assert await rig.payments.versions() == [("a", 1), ("b", 1), ("c", 1), ("d", 1)]


async def test_a_heartbeat_that_is_not_signed_by_the_source_is_not_believed(rig: Any) -> None:
    await rig.tell()
    wire = rig.bus("payment")

    def ahead(subject: str, data: bytes) -> list[bytes]:
        if subject.endswith(".head"):
            said = json.loads(data)
            return [json.dumps(said | {"as_of": said["as_of"] + 10**12}).encode()]
        return [data]

    wire.arriving = ahead
    journal = await rig.follow(bus=wire)
    await rig.until(lambda: follower_of(journal).wrong_on_the_wire > 0, "a heartbeat that is thrown away")
    assert await rig.payments.value("SELECT as_of FROM journal_cursor") < 10**16


async def test_a_wrong_answer_of_the_source_is_a_fork_until_a_right_one_comes(rig: Any) -> None:
    await rig.tell()
    await blocks_of_one(rig, "a")
    wire = rig.bus("payment")
    wire.answered = lambda data: data and data.replace(b"version", b"Version")
    wire.arriving = lambda subject, data: []
    journal = await rig.follow(bus=wire)
    await rig.until(lambda: follower_of(journal).state == "forked", "the fork")
    assert "events root" in follower_of(journal).reason
    assert await rig.payments.versions() == []
    wire.answered = lambda data: data
    await rig.settled()
    assert follower_of(journal).state == "following"
    assert await rig.payments.versions() == [("a", 1)]


@pytest.mark.parametrize("grown", [0, 3, 5], ids=["shorter", "of equal length", "longer"])
async def test_a_source_that_comes_back_with_another_history_is_forked(rig: Any, grown: int) -> None:
    source = await rig.tell()
    consumer = await rig.follow()
    await blocks_of_one(rig, "abcdef")
    await rig.settled()
    applied = await rig.payments.versions()
    await source.stop()
    await rig.cards.change(FORGET_THREE_BLOCKS)
    # What the source says meanwhile does not reach the consumer; then it looks.
    await consumer.stop()
    await rig.tell()
    await blocks_of_one(rig, "uvwxyz"[:grown])
    again = await rig.follow()
    await rig.until(lambda: follower_of(again).state == "forked", "the fork")
    assert await rig.payments.versions() == applied


async def test_a_source_that_comes_back_shorter_is_noticed_while_following(rig: Any) -> None:
    source = await rig.tell()
    consumer = await rig.follow()
    await blocks_of_one(rig, "abcdef")
    await rig.settled()
    await rig.restart_source(source, FORGET_THREE_BLOCKS)
    await rig.until(lambda: follower_of(consumer).state == "forked", "the fork")
    await blocks_of_one(rig, "uvwxy")
    assert follower_of(consumer).state == "forked"
    assert len(await rig.payments.versions()) == 6


async def test_two_processes_of_a_consumer_apply_everything_once(rig: Any) -> None:
    await rig.tell()
    first, second = await rig.follow(), await rig.follow()
    await blocks_of_one(rig, "ab")
    await rig.settled()
    leading = first if first.status().leading else second
    await leading.stop()
    await blocks_of_one(rig, "cd")
    await rig.settled()
    assert await rig.payments.versions() == [("a", 1), ("b", 1), ("c", 1), ("d", 1)]


async def test_a_follower_beside_the_one_with_the_lease_wastes_work_and_nothing_else(rig: Any) -> None:
    await rig.tell()
    first, second = await rig.follow(), await rig.follow()
    await rig.until(lambda: first.status().leading or second.status().leading, "a leader")
    waiting = second if first.status().leading else first
    await waiting._start_following()  # as a stopped process would, that goes on after its lease
    for version in range(20):
        await rig.cards.say(rig.event("a", version))
        await rig.sealed()
    await rig.settled()
    assert await rig.payments.versions() == [("a", version) for version in range(20)]
    await waiting._stop_following()


async def test_services_start_without_nats_and_catch_up_when_it_is_there(
    rig: Any, nats_server: Any, nats_cell: Any
) -> None:
    server = nats_server(rig.users.config)
    server.stop()
    buses = [Bus(server.url, name=name, seed=rig.users.seeds[name]) for name in ("card", "payment")]
    await rig.run("card", rig.cards, {}, buses[0])
    consumer = await rig.run("payment", rig.payments, {"card": rig.apply}, buses[1])
    await rig.cards.say(rig.event("a", 1))
    await rig.sealed()  # NATS away does not stop the sealing
    await rig.until(lambda: follower_of(consumer).state == "unanswered", "no answer")
    server.start()
    await rig.settled()
    server.stop()
    await rig.cards.say(rig.event("a", 2))
    await rig.sealed()
    server.start()
    await rig.settled()
    assert await rig.payments.versions() == [("a", 1), ("a", 2)]


async def test_a_queue_that_overflows_drops_and_the_rest_is_read(rig: Any) -> None:
    await rig.tell()
    gate = asyncio.Event()

    async def slow(work: Any, events: Any) -> None:
        await asyncio.wait_for(gate.wait(), 10)
        await rig.apply(work, events)

    wire = rig.bus("payment")
    wire.arriving = lambda subject, data: [data] * 200 if ".block" in subject else [data]
    journal = await rig.follow(slow, wire)
    await rig.until(lambda: follower_of(journal).state == "following", "the first answer")
    await blocks_of_one(rig, "abc")
    await rig.until(lambda: follower_of(journal).dropped_by_full_queue > 0, "an overflow")
    gate.set()
    await rig.settled()
    assert await rig.payments.versions() == [("a", 1), ("b", 1), ("c", 1)]
