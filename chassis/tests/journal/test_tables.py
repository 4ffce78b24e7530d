"""The rights of the running service: it may add to its journal and do nothing else to it."""

from typing import Any

import asyncpg
import pytest

from chassis.journal.tables import create_journal

FORBIDDEN = (
    "UPDATE journal_row SET body = 'x' WHERE id = 1",
    "UPDATE journal_row SET digest = sha256('x') WHERE id = 1",
    "DELETE FROM journal_row",
    "TRUNCATE journal_row",
    "INSERT INTO journal_row (kind, topic, key, body, salt) VALUES ('e', 't', 'k', '{}', gen_random_uuid())",
    "INSERT INTO journal_row (id, kind, topic, key, body) OVERRIDING SYSTEM VALUE VALUES (7, 'e', 't', 'k', '{}')",
    "UPDATE journal_block SET as_of = 0",
    "DELETE FROM journal_block",
    "TRUNCATE journal_block",
    "DELETE FROM journal_lease",
    "TRUNCATE journal_lease",
    "DELETE FROM journal_cursor",
    "TRUNCATE journal_set_aside",
    "SELECT journal_erase(ARRAY[1::bigint])",
    "DROP TABLE journal_row",
    "ALTER TABLE journal_row DISABLE TRIGGER ALL",
)

ALLOWED = (
    "INSERT INTO journal_row (kind, topic, key, body) VALUES ('e', 't', 'k', '{}')",
    "SELECT * FROM journal_row",
    "SELECT setval('journal_row_id_seq', nextval('journal_row_id_seq'))",
    "UPDATE journal_lease SET beat = beat + 1",
    "INSERT INTO journal_cursor (source) VALUES ('card')",
    "UPDATE journal_cursor SET block = 1",
    "INSERT INTO journal_set_aside (source, position, topic, key, body, error) VALUES ('card', 1, 't', 'k', '', '')",
    "DELETE FROM journal_set_aside",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_the_service_may_not(cards: Any, statement: str) -> None:
    async with cards.app() as connection:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.GeneratedAlwaysError)):
            await connection.execute(statement)


async def test_the_service_may_do_what_it_must(cards: Any) -> None:
    async with cards.app() as connection:
        for statement in ALLOWED:
            await connection.execute(statement)


async def test_the_owner_erases_sealed_rows_and_keeps_their_digest(rig: Any) -> None:
    await rig.tell()
    await rig.cards.say(rig.event("a", 1), rig.event("b", 1))
    await rig.sealed()
    first = await rig.cards.value("SELECT min(id) FROM journal_row")
    async with rig.cards.owner() as owner:
        assert await owner.fetchval("SELECT journal_erase($1)", [first, first, 7_777]) == 1
        assert await owner.fetchval("SELECT journal_erase($1)", [first]) == 0
    erased, whole = await rig.cards.fetch("SELECT salt, body, digest FROM journal_row ORDER BY id")
    assert (erased["salt"], erased["body"], len(erased["digest"])) == (None, None, 32)
    assert whole["body"] is not None


async def test_rows_are_erased_in_chunks_only(cards: Any) -> None:
    async with cards.owner() as owner:
        with pytest.raises(asyncpg.RaiseError, match="at most 1000"):
            await owner.execute("SELECT journal_erase($1)", list(range(1_001)))


async def test_a_row_that_is_not_sealed_yet_is_not_erased(cards: Any, rig: Any) -> None:
    await cards.say(rig.event("a", 1))
    async with cards.owner() as owner:
        assert await owner.fetchval("SELECT journal_erase(ARRAY[1]::bigint[])") == 0


def test_a_name_that_is_no_role_gets_no_rights() -> None:
    with pytest.raises(ValueError, match="not the name"):
        create_journal(lambda statement: None, "x; DROP TABLE journal_row")
