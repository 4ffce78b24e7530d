"""How old what a consumer knows is, and of which keys it knows nothing for certain.

Invariant: it errs towards not knowing. A source never heard of is infinitely old, a time in the future is not
believed, and a key with an event set aside is unknown until it has been applied.
"""

import re
from dataclasses import dataclass
from typing import Any

FUTURE_MAX_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """What a reader of a projection must know before it relies on it."""

    age_s: float  # everything confirmed at the source longer ago than this has been applied here
    unknown: bool  # an event of this key could not be applied: fail closed, whatever the age


def columns(source: str, key: str) -> str:
    """Write the columns `age_s` and `unknown` for a consumer's own query, so that value and both are of one moment.

    `source` is a service's short name, `key` the SQL of the event's key as text: columns("card", "card.id::text").
    """
    if not re.fullmatch(r"[a-z]+", source):
        raise ValueError(f"{source!r} is not the name of a service.")
    now_us = "extract(epoch FROM clock_timestamp()) * 1000000"
    return f"""
    coalesce((
        SELECT CASE WHEN as_of - {now_us} > {FUTURE_MAX_S * 1_000_000:.0f} THEN 'infinity'::float8
                    ELSE greatest(0, ({now_us} - as_of) / 1000000)::float8 END
        FROM journal_cursor WHERE source = '{source}' AND as_of > 0
    ), 'infinity'::float8) AS age_s,
    EXISTS (SELECT FROM journal_set_aside AS held WHERE held.source = '{source}' AND held.key = {key}) AS unknown
    """


async def read(connection: Any, source: str, key: str) -> Freshness:
    """Read age and unknown of one key through an asyncpg connection."""
    row = await connection.fetchrow(f"SELECT {columns(source, '$1::text')}", key)
    return Freshness(age_s=row["age_s"], unknown=row["unknown"])
