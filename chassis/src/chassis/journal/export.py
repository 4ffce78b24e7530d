"""Writes a journal as JSON lines, for an auditor who verifies it without our services.

Invariant: every row below the newest block's end is written, also one that no block knows; memory stays bounded. One
line a block, followed by one line for each of its rows.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

from chassis.journal import chain, sealing

PAGE_BLOCKS = 100
PAGE_ROWS = 1_000

_BLOCKS = f"""
SELECT {sealing.BLOCK_COLUMNS} FROM journal_block
WHERE n > $1 AND ($2::bigint IS NULL OR n <= $2) ORDER BY n LIMIT {PAGE_BLOCKS}
"""
_ROWS = f"""
SELECT {sealing.ROW_COLUMNS} FROM journal_row WHERE id > $1 AND id <= $2 ORDER BY id LIMIT {PAGE_ROWS}
"""


async def export_journal(
    connection: Any, source: str, *, after: int = 0, upto: int | None = None
) -> AsyncIterator[bytes]:
    """Yield the journal of `source` ("330000/card"), a line at a time, each ending in a newline.

    Blocks `after` < n <= `upto`; the pages of an export put together are the export of the whole.
    """
    if after == 0:
        yield _line({"onecard_journal_export": chain.VERSION, "source": source})
    n = after
    while records := await connection.fetch(_BLOCKS, n, upto):
        for record in records:
            block = sealing.block_from_record(source, record)
            yield _line({"block": chain.block_fields(block)})
            async for row in _rows_of(connection, block):
                yield _line({"row": row_fields(row)})
        n = records[-1]["n"]


async def _rows_of(connection: Any, block: chain.Block) -> AsyncIterator[chain.SealedRow]:
    at = block.from_id
    while records := await connection.fetch(_ROWS, at, block.to_id):
        for record in records:
            yield chain.SealedRow._make(record)
        at = records[-1]["id"]


def row_fields(row: chain.SealedRow) -> list[Any]:
    """Return a row as the export shows it: with salt and body, or with the digest that erasing left."""
    start: list[Any] = [row.id, row.kind, row.topic, row.key]
    if row.body is None or row.salt is None:
        return [*start, chain.row_digest(row).hex()]
    return [*start, row.salt.hex(), row.body.decode()]


def _line(said: dict[str, Any]) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
