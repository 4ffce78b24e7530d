"""An event that cannot be applied stops its own key and nothing else."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from chassis.journal import follower, freshness, set_aside
from chassis.journal.applying import Applier, Moved
from chassis.journal.follower import Received
from chassis.journal.operations import list_set_aside, retry_set_aside
from chassis.journal.transient import is_transient
from chassis.time import system_clock
from chassis.work import Workshop

POISON = "INSERT INTO poison VALUES ('bad')"
HEAL = "DELETE FROM poison"
MAKE_DUE = "UPDATE journal_set_aside SET due = now() WHERE due IS NOT NULL"


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "LOOK_FOR_DUE_S", 0.05)
    monkeypatch.setattr(follower, "STOPPED_S", 0.5)


async def held(rig: Any) -> list[tuple[int, str, int, bool]]:
    async with rig.payments.app() as connection:
        listed = await list_set_aside(connection)
    return [(one.position, one.key, one.tries, one.due is not None) for one in listed]


async def age_of(rig: Any, key: str) -> freshness.Freshness:
    async with rig.payments.app() as connection:
        return await freshness.read(connection, "card", key)


async def tries_reach(rig: Any, tries: int) -> None:
    async def reached() -> bool:
        await rig.payments.change(MAKE_DUE)
        return any(one[2] >= tries for one in await held(rig))

    await rig.until(reached, f"{tries} tries", 20)


async def test_a_failing_event_is_set_aside_and_its_neighbours_are_applied(rig: Any) -> None:
    await rig.payments.change(POISON)
    await rig.cards.say(*(rig.event(key, 1) for key in ("a", "b", "bad", "c", "d")))
    await rig.tell()
    await rig.follow()
    await rig.settled()
    assert [key for key, _ in await rig.payments.versions()] == ["a", "b", "c", "d"]
    assert [(position, key) for position, key, _, _ in await held(rig)] == [(3, "bad")]


async def test_while_it_is_set_aside_its_key_is_unknown_and_others_are_not(rig: Any) -> None:
    await rig.payments.change(POISON)
    await rig.cards.say(rig.event("bad", 1), rig.event("good", 1))
    await rig.tell()
    await rig.follow()
    await rig.settled()
    bad, good = await age_of(rig, "bad"), await age_of(rig, "good")
    assert bad.unknown
    assert not good.unknown
    assert good.age_s < 60


async def test_later_events_of_its_key_wait_behind_it_and_follow_it_in_order(rig: Any) -> None:
    await rig.payments.change(POISON)
    await rig.tell()
    await rig.follow()
    await rig.cards.say(rig.event("bad", 1), rig.event("good", 1), rig.event("bad", 2))
    await rig.settled()
    await rig.cards.say(rig.event("bad", 3))
    await rig.settled()
    assert [(position, due) for position, _, _, due in await held(rig)] == [(1, True), (3, False), (4, False)]
    await rig.payments.change(HEAL)
    await rig.payments.change(MAKE_DUE)
    await rig.until(lambda: empty(rig), "the retry", 15)
    assert await rig.payments.versions() == [("good", 1), ("bad", 1), ("bad", 2), ("bad", 3)]
    assert not (await age_of(rig, "bad")).unknown


async def empty(rig: Any) -> bool:
    return not await held(rig)


async def test_a_key_is_applied_whole_or_not_at_all(rig: Any) -> None:
    await rig.payments.change(POISON)
    fails_at = {"version": 1}

    async def apply_one_by_one(work: Any, events: Sequence[Any]) -> None:
        for one in events:
            if one.key == "bad" and f'"version": {fails_at["version"]}'.encode() in one.body:
                raise RuntimeError("planted")
            await rig.apply(work, [one])

    await rig.cards.say(rig.event("bad", 1), rig.event("bad", 2))
    await rig.tell()
    await rig.follow(apply_one_by_one)
    await rig.settled()
    await rig.payments.change(HEAL)
    fails_at["version"] = 2  # the first would go now, the second does not
    await tries_reach(rig, 2)
    assert await rig.payments.versions() == []
    fails_at["version"] = 0
    await rig.payments.change(MAKE_DUE)
    await rig.until(lambda: empty(rig), "the retry", 15)
    assert await rig.payments.versions() == [("bad", 1), ("bad", 2)]


async def test_after_five_failures_it_waits_for_a_person_who_can_have_it_tried_again(rig: Any) -> None:
    await rig.payments.change(POISON)
    await rig.cards.say(rig.event("bad", 1))
    await rig.tell()
    await rig.follow()
    await rig.settled()
    await tries_reach(rig, len(set_aside.RETRY_AFTER_S))
    assert await held(rig) == [(1, "bad", 5, False)]
    await rig.payments.change(HEAL)
    async with rig.payments.app() as connection:
        assert await retry_set_aside(connection, "card", "bad")
        assert not await retry_set_aside(connection, "card", "good")
    await rig.until(lambda: empty(rig), "the retry", 15)
    assert await rig.payments.versions() == [("bad", 1)]


async def test_it_is_tried_again_after_0_4_16_64_and_256_seconds(payments: Any) -> None:
    async with payments.app() as connection:
        event = Received("card", 1, "card.card.enabled.v1", "bad", b"{}")
        await set_aside.put(connection, "card", [event], "why", due=True)
        waits = []
        for _ in set_aside.RETRY_AFTER_S:
            waits.append(await set_aside.next_due_in_s(connection, "card"))
            await set_aside.failed_again(connection, "card", 1, "why")
        assert [round(wait) for wait in waits] == [0, 4, 16, 64, 256]
        assert await set_aside.next_due_in_s(connection, "card") is None


async def test_the_error_is_kept_without_what_a_database_adds_to_it() -> None:
    error = ValueError("duplicate key\nDETAIL: Key (number)=(330101190001010001) exists")
    assert set_aside.describe(error) == "ValueError: duplicate key"


async def test_more_than_a_hundred_keys_mean_a_broken_handler_and_stop_it(rig: Any) -> None:
    fault = {"on": True}

    async def broken(work: Any, events: Sequence[Any]) -> None:
        if fault["on"]:
            raise RuntimeError("planted")
        await rig.apply(work, events)

    await rig.cards.say(*(rig.event(f"k{i:03}", 1) for i in range(105)))
    await rig.tell()
    journal = await rig.follow(broken)
    await rig.until(lambda: journal.status().followers["card"].state == "stopped", "the stop", 20)
    assert len(await held(rig)) == set_aside.KEYS_MAX
    assert await rig.payments.value("SELECT block FROM journal_cursor") == 0
    fault["on"] = False
    await rig.payments.change(MAKE_DUE)
    await rig.until(lambda: empty(rig), "the retries", 20)
    await rig.settled()
    assert len(await rig.payments.versions()) == 105


async def test_a_deadlock_or_a_lost_connection_counts_against_no_event(rig: Any) -> None:
    fails = {"left": 3}

    async def loses_its_connection(work: Any, events: Sequence[Any]) -> None:
        connection = await work.asyncpg()
        if fails["left"]:
            fails["left"] -= 1
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        await rig.apply(work, events)

    await rig.cards.say(rig.event("a", 1))
    await rig.tell()
    await rig.follow(loses_its_connection)
    await rig.settled()
    assert fails["left"] == 0
    assert await held(rig) == []
    assert await rig.payments.versions() == [("a", 1)]


def test_which_failures_are_the_networks() -> None:
    class Coded(Exception):
        def __init__(self, sqlstate: str) -> None:
            self.sqlstate = sqlstate

    transient = ("08006", "40001", "40P01", "53300", "55P03", "57P01", "58030", "25P03")
    assert all(is_transient(Coded(state)) for state in transient)
    assert not any(is_transient(Coded(state)) for state in ("23505", "57014", "42P01", "25P02", "22P02"))
    wrapped = RuntimeError("the handler's")
    wrapped.__cause__ = ConnectionResetError()
    assert is_transient(wrapped)
    assert not is_transient(ValueError("closed"))


async def test_a_follower_that_dies_inside_a_halved_batch_applies_nothing_twice(rig: Any) -> None:
    """Between two halves the position lies beyond blocks that are not closed."""
    await rig.payments.change(POISON)
    await rig.cards.say(*(rig.event(f"k{i}", 1) for i in range(6)), rig.event("bad", 1), rig.event("z", 1))
    await rig.tell()
    calls = {"left": 3}

    async def dies(work: Any, events: Sequence[Any]) -> None:
        calls["left"] -= 1
        if calls["left"] == 0:
            raise asyncio.CancelledError  # as if the process were killed here
        await rig.apply(work, events)

    first = await rig.follow(dies)
    await rig.until(lambda: half_applied(rig), "the first half")
    await first.stop()
    block, position = (await rig.payments.fetch("SELECT block, position FROM journal_cursor"))[0]
    assert (block, position) == (0, 4)
    await rig.follow()
    await rig.settled()
    assert [key for key, _ in await rig.payments.versions()] == ["k0", "k1", "k2", "k3", "k4", "k5", "z"]
    assert [one[1] for one in await held(rig)] == ["bad"]


async def half_applied(rig: Any) -> bool:
    return bool(await rig.payments.value("SELECT count(*) FROM applied") == 4)


async def test_the_cursor_of_another_follower_is_not_overrun(rig: Any) -> None:
    workshop = Workshop(engine=rig.payments.engine, clock=system_clock(), cell="330000", service="payment")
    applier = Applier("card", rig.apply, workshop)
    at = await applier.load()
    await rig.payments.change("UPDATE journal_cursor SET block = 1")
    with pytest.raises(Moved):
        await applier.take(at, [])
