"""The leader's statements: where to resume, which rows come next, and the fenced insert of a block.

Invariant: a block is written only by the holder of the term that it names, and never twice.
"""

from collections.abc import AsyncIterator, Sequence
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

_PAGE_ROWS = BLOCK_MAX_ROWS + 1
_PAGE = f"SELECT {ROW_COLUMNS} FROM journal_row WHERE id > $1 AND id <= $2 ORDER BY id LIMIT {_PAGE_ROWS}"

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


async def cut(connection: Any, after: int, upto: int) -> AsyncIterator[tuple[list[SealedRow], bool]]:
    """Yield the rows of each next block in the order of ids, and whether there are more up to `upto`.

    Rows below a settled horizon change no more, so what was read beyond one block is kept for the next.
    """
    ahead: list[SealedRow] = []
    whole = False
    while True:
        while not whole and len(ahead) <= BLOCK_MAX_ROWS:
            page = await connection.fetch(_PAGE, ahead[-1].id if ahead else after, upto)
            ahead += map(SealedRow._make, page)
            whole = len(page) < _PAGE_ROWS
        fit = _fit(ahead)
        rows, ahead = ahead[:fit], ahead[fit:]
        after = rows[-1].id if rows else after
        yield rows, bool(ahead)
        if not ahead:
            return


def _fit(rows: Sequence[SealedRow]) -> int:
    """How many of the rows one block takes; at least one."""
    size = 0
    for count, row in enumerate(rows[:BLOCK_MAX_ROWS]):
        size += len(row.body or b"") + len(row.topic) + len(row.key) + ROW_OVERHEAD_BYTES
        if size > BLOCK_MAX_BYTES and count:
            return count
    return min(len(rows), BLOCK_MAX_ROWS)


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
