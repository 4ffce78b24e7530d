"""Section 6 of the journal's design: what an insider does to the database shows in an export, verified offline."""

import json
from typing import Any

import pytest

from chassis.journal.verify import verify_export

ROW = "(SELECT max(id) - 3 FROM journal_row)"
BLOCK = "(SELECT max(n) - 1 FROM journal_block)"


@pytest.fixture
async def told(rig: Any) -> Any:
    """A journal of some blocks, with a hole in one of them, stopped so that nothing repairs itself."""
    journal = await rig.tell()
    for name in "abcd":
        async with rig.cards.app() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(
                "INSERT INTO journal_row (kind, topic, key, body) VALUES ('e', 'gone', 'gone', '{}')"
            )
            await transaction.rollback()
        await rig.cards.say(rig.event(name, 1), rig.event(name, 2, kind="a"))
        await rig.sealed()
    await journal.stop()
    return rig


async def test_an_untouched_journal_verifies(told: Any) -> None:
    verdict = await told.verdict()
    assert (verdict.problem, verdict.blocks, verdict.events, verdict.records, verdict.erased) == ("", 4, 4, 4, 0)
    assert verdict.head == await told.cards.value("SELECT hash FROM journal_block WHERE n = 4")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (f"UPDATE journal_row SET body = '{{}}' WHERE id = {ROW} - 1", "events root|records root"),
        (f"UPDATE journal_row SET key = 'other' WHERE id = {ROW}", "root"),
        (f"UPDATE journal_row SET topic = 'card.card.cancelled.v1' WHERE id = {ROW}", "root"),
        (f"UPDATE journal_row SET salt = gen_random_uuid() WHERE id = {ROW}", "root"),
        (f"UPDATE journal_row SET kind = 'd' WHERE id = {ROW} AND kind <> 'd'", "root|events and has"),
        (f"DELETE FROM journal_row WHERE id = {ROW}", "root|events and has"),
        (
            "INSERT INTO journal_row (id, kind, topic, key, body) OVERRIDING SYSTEM VALUE"
            " SELECT id + 1, 'a', 'x', 'x', '{}' FROM journal_row AS hole"
            " WHERE NOT EXISTS (SELECT FROM journal_row WHERE id = hole.id + 1)"
            " AND id < (SELECT max(id) FROM journal_row) LIMIT 1",
            "records root",
        ),
        (f"DELETE FROM journal_block WHERE n = {BLOCK}", "it is block 4, after 2"),
        ("DELETE FROM journal_block WHERE n = 1", "it is block 2, after 0"),
        (f"UPDATE journal_block SET as_of = as_of + 1 WHERE n = {BLOCK}", "signature"),
        (f"UPDATE journal_block SET to_id = to_id - 1, from_id = from_id - 1 WHERE n = {BLOCK}", "signature"),
        (f"UPDATE journal_block SET sig = sha256('x') || sha256('y') WHERE n = {BLOCK}", "signature"),
        (f"UPDATE journal_block SET kid = 'other' WHERE n = {BLOCK}", "did not announce"),
    ],
)
async def test_what_an_insider_changes_shows(told: Any, change: str, why: str) -> None:
    await told.cards.change(change)
    verdict = await told.verdict()
    assert not verdict.is_right
    assert any(part in verdict.problem for part in why.split("|")), verdict.problem
    assert 1 <= verdict.block <= 4


async def test_an_erased_row_still_verifies_and_is_counted(told: Any) -> None:
    async with told.cards.owner() as owner:
        await owner.fetchval("SELECT journal_erase(ARRAY(SELECT id FROM journal_row WHERE key = 'b'))")
    verdict = await told.verdict()
    assert (verdict.problem, verdict.erased) == ("", 2)
    assert b'"version": 2' not in b"".join(line for line in await told.exported() if b'"b"' in line)


async def test_an_event_erased_before_it_was_read_is_passed_over(told: Any) -> None:
    async with told.cards.owner() as owner:
        await owner.fetchval("SELECT journal_erase(ARRAY(SELECT id FROM journal_row WHERE key = 'b'))")
    await told.tell()
    await told.follow()
    await told.settled()
    assert [key for key, _ in await told.payments.versions()] == ["a", "c", "d"]


async def test_a_cut_tail_verifies_alone_and_shows_against_a_remembered_head(told: Any) -> None:
    remembered = (4, await told.cards.value("SELECT hash FROM journal_block WHERE n = 4"))
    assert (await told.verdict([remembered])).is_right
    await told.cards.change("DELETE FROM journal_block WHERE n = 4")
    assert (await told.verdict()).is_right
    cut = await told.verdict([remembered])
    assert "block 4 has been seen" in cut.problem


async def test_another_block_in_place_of_a_remembered_one_shows(told: Any) -> None:
    assert "seen before" in (await told.verdict([(2, b"x" * 32)])).problem


async def test_an_export_is_verified_only_with_the_keys_of_its_source(told: Any) -> None:
    lines = await told.exported()
    other = told.journal_keys("payment").publics["payment"]
    assert "signature" in verify_export(lines, other).problem
    own = told.journal_keys("card").publics["card"]
    assert "not of 330000/payment" in verify_export(lines, own, source="330000/payment").problem


async def test_lines_that_are_broken_moved_or_missing_show(told: Any) -> None:
    lines = await told.exported()
    keys = told.journal_keys("card").publics["card"]
    assert verify_export([], keys).problem == "the export is empty"
    assert "not JSON" in verify_export([*lines[:3], b"{"], keys).problem
    assert "begin" in verify_export(lines[1:], keys).problem
    for at in range(1, len(lines)):
        missing = verify_export(lines[:at] + lines[at + 1 :], keys, known_heads=[(4, json_head(told, lines))])
        assert not missing.is_right, lines[at]
    for at in range(1, len(lines) - 1):
        swapped = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
        assert not verify_export(swapped, keys).is_right, lines[at]


def json_head(told: Any, lines: list[bytes]) -> bytes:
    return verify_export(lines, told.journal_keys("card").publics["card"]).head


async def test_the_export_is_readable_json_in_the_order_of_the_chain(told: Any) -> None:
    said = [json.loads(line) for line in await told.exported()]
    assert [next(iter(line)) for line in said[:4]] == ["onecard_journal_export", "block", "row", "row"]
    assert [line["block"]["n"] for line in said if "block" in line] == [1, 2, 3, 4]
