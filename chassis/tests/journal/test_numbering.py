"""Section 2 of the journal's design: the order of ids under the table's lock, and what may not disturb it."""

import asyncio
from typing import Any

import asyncpg

from chassis.journal.horizon import Horizon, Settling
from chassis.journal.leader import Pace
from chassis.journal.writing import insert_rows


async def change_card(connection: Any, rig: Any, key: str) -> None:
    """What a use case does: lock the aggregate, change it, say so."""
    version = await connection.fetchval("UPDATE card SET version = version + 1 WHERE key = $1 RETURNING version", key)
    await insert_rows(connection, [rig.event(key, version)])


async def begun(store: Any, stack: Any, *statements: str) -> tuple[Any, Any]:
    connection = await stack.enter_async_context(store.app())
    transaction = connection.transaction()
    await transaction.start()
    for statement in statements:
        await connection.execute(statement)
    return connection, transaction


async def test_a_transaction_that_began_early_and_locked_late_comes_out_as_the_later_version(rig: Any) -> None:
    await rig.cards.change("INSERT INTO card VALUES ('a', 1)")
    await rig.tell()
    await rig.follow()
    early, early_ends = await begun(rig.cards, rig.stack, "INSERT INTO idempotency VALUES ('early')")
    late, late_ends = await begun(rig.cards, rig.stack)
    assert await early.fetchval("SELECT pg_current_xact_id()::text::bigint") < await late.fetchval(
        "SELECT pg_current_xact_id()::text::bigint"
    )
    await change_card(late, rig, "a")
    await late_ends.commit()
    await change_card(early, rig, "a")
    await early_ends.commit()
    await rig.settled()
    assert await rig.payments.versions() == [("a", 2), ("a", 3)]


async def test_a_third_transaction_that_stays_open_changes_neither_order_nor_pace(rig: Any) -> None:
    await rig.cards.change("INSERT INTO card VALUES ('a', 1)")
    await rig.tell()
    await rig.follow()
    _, third_ends = await begun(rig.cards, rig.stack, "INSERT INTO idempotency VALUES ('third')")
    early, early_ends = await begun(rig.cards, rig.stack, "INSERT INTO idempotency VALUES ('early')")
    async with rig.cards.app() as late, late.transaction():
        await change_card(late, rig, "a")
    await change_card(early, rig, "a")
    await early_ends.commit()
    await rig.settled()  # while the third one is still open: it holds no journal row
    assert await rig.payments.versions() == [("a", 2), ("a", 3)]
    await third_ends.rollback()


async def test_nothing_above_an_open_writer_is_numbered_before_it_ends(rig: Any) -> None:
    await rig.tell()
    writer, writer_ends = await begun(rig.cards, rig.stack)
    await insert_rows(writer, [rig.event("held", 1)])
    await rig.cards.say(rig.event("later", 1))
    seen = await rig.cards.value("SELECT beat FROM journal_lease")
    await rig.until(lambda: beat_beyond(rig, seen + 1), "two heartbeats of the leader")
    assert await rig.cards.value("SELECT count(*) FROM journal_block") == 0
    await writer_ends.commit()
    await rig.sealed()
    assert await rig.cards.value("SELECT last FROM journal_block ORDER BY n DESC LIMIT 1") == 2


async def beat_beyond(rig: Any, beat: int) -> bool:
    return bool(await rig.cards.value("SELECT beat FROM journal_lease") > beat)


async def test_a_rolled_back_row_is_a_hole_and_positions_have_none(rig: Any) -> None:
    await rig.tell()
    await rig.follow()
    await rig.cards.say(rig.event("a", 1))
    writer, writer_ends = await begun(rig.cards, rig.stack)
    await insert_rows(writer, [rig.event("gone", 1)])
    await writer_ends.rollback()
    await rig.cards.say(rig.event("b", 1))
    await rig.settled()
    assert [r["position"] for r in await rig.payments.fetch("SELECT position FROM applied ORDER BY n")] == [1, 2]
    assert (await rig.verdict()).is_right


async def test_a_sequence_behind_the_last_block_is_moved_before_anything_is_written(rig: Any) -> None:
    """A restore may leave it behind: new rows would lie under the last block and never be read."""
    first = await rig.tell()
    await rig.cards.say(*(rig.event(f"k{i}", 1) for i in range(20)))
    await rig.sealed()
    await first.stop()
    await rig.cards.change("ALTER SEQUENCE journal_row_id_seq RESTART WITH 5")
    await rig.follow()
    second = await rig.tell()
    await rig.until(lambda: second.status().leading, "a new leader")
    await rig.cards.say(rig.event("after the restore", 1))
    await rig.settled()
    assert ("after the restore", 1) in await rig.payments.versions()


async def test_a_sequence_that_is_ahead_is_left_alone(rig: Any) -> None:
    await rig.cards.change("ALTER SEQUENCE journal_row_id_seq RESTART WITH 5000")
    journal = await rig.tell()
    await rig.until(lambda: journal.status().leading, "a leader")
    await rig.cards.say(rig.event("a", 1))
    assert await rig.cards.value("SELECT max(id) FROM journal_row") >= 5000


async def test_a_writer_that_stays_open_too_long_is_ended(rig: Any) -> None:
    journal = await rig.tell(Pace(hold_max_s=0.3))
    writer, _ = await begun(rig.cards, rig.stack)
    await insert_rows(writer, [rig.event("forgotten", 1)])
    await rig.cards.say(rig.event("b", 1))
    await rig.sealed()
    assert journal.status().holders_ended == 1
    assert writer.is_closed()
    assert await rig.cards.value("SELECT count(*) FROM journal_row") == 1


async def test_a_backlog_is_cut_into_blocks_of_a_thousand_rows_or_150_kilobytes(rig: Any) -> None:
    await rig.cards.say(*(rig.event(f"small{i}", 1) for i in range(2_500)))
    large = rig.event("large", 1)._replace(body=b'{"version":1,"x":"' + b"x" * 60_000 + b'"}')
    await rig.cards.say(*[large._replace(key=f"large{i}") for i in range(5)])
    await rig.tell()
    await rig.follow()
    await rig.settled()
    sizes = await rig.cards.fetch(
        "SELECT b.n, count(*) AS rows, sum(octet_length(r.body)) AS bytes FROM journal_block b"
        " JOIN journal_row r ON r.id > b.from_id AND r.id <= b.to_id GROUP BY 1 ORDER BY 1"
    )
    assert all(size["rows"] <= 1_000 and size["bytes"] <= 150_000 for size in sizes)
    assert len(sizes) >= 5
    assert len(await rig.payments.versions()) == 2_505


async def test_audit_rows_and_denials_are_sealed_but_not_numbered_and_not_sent(rig: Any) -> None:
    await rig.tell()
    await rig.follow()
    await rig.cards.say(rig.event("a", 1, kind="a"), rig.event("b", 1), rig.event("c", 1, kind="d"))
    await rig.settled()
    assert await rig.payments.versions() == [("b", 1)]
    verdict = await rig.verdict()
    assert (verdict.events, verdict.records, verdict.problem) == (1, 2, "")


async def test_many_writers_at_once_are_each_numbered_once(rig: Any) -> None:
    await rig.tell()
    await rig.follow()

    async def write(writer: int) -> None:
        async with rig.cards.app() as connection:
            for i in range(25):
                transaction = connection.transaction()
                await transaction.start()
                await insert_rows(connection, [rig.event(f"w{writer}", i)])
                await (transaction.rollback() if i % 5 == 4 else transaction.commit())

    await asyncio.gather(*(write(writer) for writer in range(12)))
    await rig.settled()
    applied = await rig.payments.versions()
    assert len(applied) == 12 * 20
    for writer in range(12):
        assert [v for k, v in applied if k == f"w{writer}"] == [i for i in range(25) if i % 5 != 4]


def test_a_horizon_settles_only_when_its_own_writers_are_gone() -> None:
    settling = Settling(monotonic=lambda: 0.0)
    assert settling.settle(Horizon(10, 1, frozenset({"3/7", "4/1"}))) is None
    assert settling.settle(Horizon(20, 2, frozenset({"4/1", "5/1"}))) is None
    assert settling.settle(Horizon(30, 3, frozenset({"5/1"}))) == Horizon(10, 1, frozenset({"3/7", "4/1"}))
    assert settling.settle(Horizon(40, 4, frozenset())) == Horizon(40, 4, frozenset())


async def test_the_bodys_text_must_be_utf_8(cards: Any, rig: Any) -> None:
    for body in (b"\xff\xfe", b"x" * 65_537):
        try:
            await cards.say(rig.event("a", 1)._replace(body=body))
        except asyncpg.PostgresError:
            continue
        raise AssertionError("a body that cannot be sent was written")
