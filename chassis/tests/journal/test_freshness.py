"""Section 5 of the journal's design: what the age says in each case."""

import asyncio
import math
from typing import Any

import pytest

from chassis.journal import freshness, horizon
from chassis.journal.writing import insert_rows


async def age(rig: Any) -> float:
    async with rig.payments.app() as connection:
        return float((await freshness.read(connection, "card", "a")).age_s)


async def grows_beyond(rig: Any, seconds: float) -> None:
    async def grown() -> bool:
        return await age(rig) > seconds

    await rig.until(grown, f"an age of {seconds} s", 15)


async def falls_below(rig: Any, seconds: float) -> None:
    async def fallen() -> bool:
        return await age(rig) < seconds

    await rig.until(fallen, f"an age below {seconds} s", 15)


async def test_a_source_never_heard_of_is_infinitely_old(rig: Any) -> None:
    assert await age(rig) == math.inf
    await rig.follow()  # there is a cursor now, and still no word of the source
    await rig.until(lambda: has_cursor(rig), "a cursor")
    assert await age(rig) == math.inf


async def has_cursor(rig: Any) -> bool:
    return bool(await rig.payments.value("SELECT count(*) FROM journal_cursor") == 1)


async def test_an_idle_source_is_never_older_than_its_heartbeat(rig: Any) -> None:
    await rig.tell()
    await rig.follow()
    await falls_below(rig, 1.0)
    oldest = 0.0
    for _ in range(30):
        oldest = max(oldest, await age(rig))
        await asyncio.sleep(0.05)
    assert oldest < 1.5


async def test_an_empty_journal_is_fresh_too(rig: Any) -> None:
    await rig.tell()
    await rig.follow()
    await falls_below(rig, 1.0)
    assert await rig.cards.value("SELECT count(*) FROM journal_block") == 0


async def test_the_age_grows_while_a_handler_is_stuck_and_falls_when_it_goes_on(rig: Any) -> None:
    gate = asyncio.Event()

    async def stuck(work: Any, events: Any) -> None:
        connection = await work.asyncpg()
        while not gate.is_set():
            await connection.execute("SELECT pg_sleep(0.05)")
        await rig.apply(work, events)

    await rig.tell()
    await rig.follow(stuck)
    await falls_below(rig, 1.0)
    await rig.cards.say(rig.event("a", 1))
    await grows_beyond(rig, 2.0)
    gate.set()
    await falls_below(rig, 1.0)


async def test_the_age_grows_while_a_writer_with_a_journal_row_is_open(rig: Any) -> None:
    await rig.tell()
    await rig.follow()
    await falls_below(rig, 1.0)
    async with rig.cards.app() as writer:
        transaction = writer.transaction()
        await transaction.start()
        await insert_rows(writer, [rig.event("a", 1)])
        await grows_beyond(rig, 2.0)
        await transaction.commit()
    await falls_below(rig, 1.0)


async def test_the_age_grows_while_nats_is_down(rig: Any, nats_server: Any) -> None:
    server = nats_server(rig.users.config)
    rig.nats_url = server.url
    await rig.tell()
    await rig.follow()
    await falls_below(rig, 1.0)
    server.stop()
    await grows_beyond(rig, 2.5)
    server.start()
    await falls_below(rig, 1.0)


@pytest.mark.parametrize(("shift", "expected"), [("1 hour", math.inf), ("-1 hour", 3_600.0)])
async def test_a_sources_clock_that_is_wrong_shows_and_is_believed_again_once_right(
    rig: Any, monkeypatch: pytest.MonkeyPatch, shift: str, expected: float
) -> None:
    right = horizon._OBSERVE
    monkeypatch.setattr(
        horizon, "_OBSERVE", right.replace("statement_timestamp()", f"statement_timestamp() + '{shift}'")
    )
    await rig.tell()
    await rig.follow()
    await rig.cards.say(rig.event("a", 1))
    await rig.settled()
    seen = await age(rig)
    assert seen == expected if math.isinf(expected) else abs(seen - expected) < 5
    monkeypatch.setattr(horizon, "_OBSERVE", right)
    await falls_below(rig, 1.0)
    await rig.cards.say(rig.event("a", 2))
    await rig.settled()
    assert await rig.payments.versions() == [("a", 1), ("a", 2)]
    assert (await rig.verdict()).is_right


async def test_one_query_gives_value_age_and_unknown(rig: Any) -> None:
    await rig.payments.change("INSERT INTO card VALUES ('a', 7)")
    row = await rig.payments.fetch(f"SELECT version, {freshness.columns('card', 'card.key')} FROM card")
    assert (row[0]["version"], row[0]["age_s"], row[0]["unknown"]) == (7, math.inf, False)


def test_a_source_that_is_no_name_is_refused() -> None:
    with pytest.raises(ValueError, match="not the name"):
        freshness.columns("card'; --", "x")
