"""The leader's statements: where to resume, which rows come next, and the fenced insert of a block.

Invariant: a block is written only by the holder of the term that it names, and never twice.
"""

from typing import Any

from chassis.journal.chain import BLOCK_MAX_BYTES, BLOCK_MAX_ROWS, GENESIS, ROW_OVERHEAD_BYTES, Block, SealedRow
from chassis.journal.lease import Fenced

BLOCK_COLUMNS = (
    "n, term, beat, first, last, from_id, to_id, as_of, events_root, records_root, prev, alg, kid, next_kid, hash, sig"
)
ROW_COLUMNS = "id, kind::text, topic, key, uuid_send(salt), body, digest"

_LAST = f"SELECT {BLOCK_COLUMNS} FROM journal_block ORDER BY n DESC LIMIT 1"

# Only a sequence that was left behind (a restore) is moved: setting one that is ahead could take back ids that
# writers have drawn since the look.
_MOVE_SEQUENCE = """
SELECT CASE WHEN nextval('journal_row_id_seq') <= $1 THEN setval('journal_row_id_seq', $1) END
"""

_NEXT_ROWS = f"""
SELECT {ROW_COLUMNS} FROM (
    SELECT *, sum(octet_length(coalesce(body, '')) + octet_length(topic) + octet_length(key) + {ROW_OVERHEAD_BYTES})
              OVER (ORDER BY id) AS bytes
    FROM (SELECT * FROM journal_row WHERE id > $1 AND id <= $2 ORDER BY id LIMIT {BLOCK_MAX_ROWS + 1}) AS ahead
) AS measured
WHERE bytes <= {BLOCK_MAX_BYTES}
ORDER BY id
"""

_SEAL = f"""
WITH mine AS (UPDATE journal_lease SET beat = $3 WHERE term = $2 RETURNING term)
INSERT INTO journal_block ({BLOCK_COLUMNS})
SELECT $1, mine.term, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16 FROM mine
RETURNING n
"""


def block_from_record(source: str, record: Any) -> Block:
    """Build a block from a row of journal_block."""
    return Block(source=source, **dict(record))


async def last_block(connection: Any, source: str) -> Block | None:
    """Return the newest block, or None for an empty chain."""
    record = await connection.fetchrow(_LAST)
    return None if record is None else block_from_record(source, record)


async def move_sequence(connection: Any, to_id: int) -> None:
    """Make the next id lie above `to_id`: rows below it would never be read."""
    await connection.execute(_MOVE_SEQUENCE, to_id)


async def next_rows(connection: Any, after: int, upto: int) -> tuple[list[SealedRow], bool]:
    """Return the rows of the next block in the order of ids, and whether there are more up to `upto`."""
    records = await connection.fetch(_NEXT_ROWS, after, upto)
    rows = [SealedRow._make(record) for record in records[:BLOCK_MAX_ROWS]]
    if len(records) > BLOCK_MAX_ROWS:
        return rows, True
    last = rows[-1].id if rows else after
    return rows, await connection.fetchval(
        "SELECT EXISTS (SELECT FROM journal_row WHERE id > $1 AND id <= $2)", last, upto
    )


async def insert_block(connection: Any, block: Block) -> None:
    """Write a sealed block if its term is still in force; Fenced otherwise."""
    written = await connection.fetchval(
        _SEAL,
        *(block.n, block.term, block.beat, block.first, block.last, block.from_id, block.to_id, block.as_of),
        *(block.events_root, block.records_root, block.prev, block.alg, block.kid, block.next_kid),
        *(block.hash, block.sig),
    )
    if written is None:
        raise Fenced(f"Term {block.term} is over.")


def successor_fields(last: Block | None) -> dict[str, Any]:
    """What the block after `last` takes over from it."""
    if last is None:
        return {"n": 1, "first": 1, "from_id": 0, "prev": GENESIS}
    return {"n": last.n + 1, "first": last.last + 1, "from_id": last.to_id, "prev": last.hash}
