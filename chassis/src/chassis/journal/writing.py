"""Writes journal rows into the transaction of the state that they tell about.

Invariant: the rows of one call get their ids in the order of the call, in one statement, so that a transaction holds
the lock that the leader looks at for as short a time as possible.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

BODY_MAX_BYTES = 65_536
NAME_MAX_BYTES = 200
"""Of a topic and of a key; the table checks the same bounds."""

_INSERT = """
INSERT INTO journal_row (kind, topic, key, body)
SELECT said.kind::"char", said.topic, said.key, said.body
FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) AS said (kind, topic, key, body)
"""


class Row(NamedTuple):
    """What a use case wants in the journal."""

    kind: str  # e event, a audit, d denial
    topic: str  # "card.card.enabled.v1"
    key: str  # the aggregate's id: events of one key are applied in order
    body: bytes  # the exact bytes that are sent: UTF-8, at most BODY_MAX_BYTES


async def insert_rows(connection: Any, rows: Sequence[Row]) -> None:
    """Insert `rows` through an asyncpg connection that is inside the transaction of the state.

    Call it last, after the aggregates' rows are locked: ids drawn under that lock are in the order of the versions.
    """
    if rows:
        await connection.execute(_INSERT, *(list(column) for column in zip(*rows, strict=True)))
