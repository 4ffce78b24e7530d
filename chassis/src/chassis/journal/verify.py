"""Verifies an export offline, with public keys only. Pure and streaming.

Invariant: it says "right" only when every block and row up to the end fits; the first thing that does not is named.
A cut end verifies by itself, so whoever remembers a block (every consumer does) gives it as a known head.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chassis.journal import chain
from chassis.journal.keys import Verifiers

LINE_MAX_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the verification found."""

    problem: str  # "" when everything is right
    block: int  # the first wrong block, or the last one
    blocks: int
    events: int
    records: int
    erased: int
    head: bytes  # hash of the last right block: to be remembered
    as_of: int  # microseconds

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem


class _Verification:
    def __init__(self, verifiers: Verifiers, source: str | None, known: dict[int, bytes]) -> None:
        self._verifiers = verifiers
        self._source = source
        self._known = known
        self._begun = False
        self._open: chain.Block | None = None
        self._rows: list[chain.SealedRow] = []
        self._to_id = 0
        self.standing = chain.Standing()
        self.events = self.records = self.erased = 0

    def take(self, line: bytes) -> None:
        said = _parsed(line)
        if not self._begun:
            self._begin(said)
        elif "block" in said:
            self._close()
            self._open_block(said["block"])
        elif "row" in said:
            if self._open is None or len(self._rows) > chain.BLOCK_MAX_ROWS:
                raise chain.Wrong("there is a row that belongs to no block")
            self._rows.append(_row(said["row"]))
        else:
            raise chain.Wrong("a line is neither a block nor a row")

    def finish(self) -> None:
        self._close()
        if not self._begun:
            raise chain.Wrong("the export is empty")
        beyond = [n for n in self._known if n > self.standing.block]
        if beyond:
            raise chain.Wrong(f"it ends at block {self.standing.block}, but block {max(beyond)} has been seen: cut")

    def _begin(self, said: dict[str, Any]) -> None:
        if said.get("onecard_journal_export") != chain.VERSION or not isinstance(said.get("source"), str):
            raise chain.Wrong("it does not begin as the export of a journal")
        if self._source not in (None, said["source"]):
            raise chain.Wrong(f"it is the journal of {said['source']}, not of {self._source}")
        self._source = said["source"]
        self._begun = True

    def _open_block(self, said: Any) -> None:
        try:
            block = chain.block_from_fields(said)
        except (KeyError, TypeError, ValueError) as error:
            raise chain.Wrong(f"it is not written as a block ({type(error).__name__})") from None
        self._open = block
        if block.source != self._source:
            raise chain.Wrong(f"it is of the journal {block.source!r}")
        chain.check_link(block, self.standing, self._verifiers)
        if block.from_id != self._to_id:
            raise chain.Wrong(f"its rows begin after {block.from_id}, those before end at {self._to_id}")
        if block.first != self.standing.position + 1:
            raise chain.Wrong(f"it begins at position {block.first}, after {self.standing.position}")

    def _close(self) -> None:
        """Check the rows of the block that is complete now."""
        if (block := self._open) is None:
            return
        events = sum(row.kind == "e" for row in self._rows)
        chain.check_ids(block, self._rows)
        if events != block.last - block.first + 1:
            raise chain.Wrong(f"it says {block.last - block.first + 1} events and has {events}")
        events_root, records_root = chain.roots(self._rows)
        if events_root != block.events_root:
            raise chain.Wrong("its events are not those of its events root")
        if records_root != block.records_root:
            raise chain.Wrong("its records are not those of its records root")
        if self._known.get(block.n, block.hash) != block.hash:
            raise chain.Wrong("it is not the block of this number that has been seen before")
        self.events += events
        self.records += len(self._rows) - events
        self.erased += sum(row.digest is not None for row in self._rows)
        self.standing, self._to_id = self.standing.after(block), block.to_id
        self._open, self._rows = None, []

    @property
    def at(self) -> int:
        return self._open.n if self._open is not None else self.standing.block


def verify_export(
    lines: Iterable[bytes],
    verifiers: Verifiers,
    *,
    source: str | None = None,
    known_heads: Iterable[tuple[int, bytes]] = (),
) -> Verdict:
    """Verify an export against the public keys of its source.

    `known_heads` are block numbers and hashes remembered from elsewhere: heartbeats kept, a consumer's cursor.
    """
    verification = _Verification(verifiers, source, dict(known_heads))
    problem = ""
    try:
        for line in lines:
            verification.take(line)
        verification.finish()
    except chain.Wrong as wrong:
        problem = str(wrong)
    return Verdict(
        problem=problem,
        block=verification.at,
        blocks=verification.standing.block,
        events=verification.events,
        records=verification.records,
        erased=verification.erased,
        head=verification.standing.head,
        as_of=verification.standing.as_of,
    )


def _parsed(line: bytes) -> dict[str, Any]:
    if len(line) > LINE_MAX_BYTES:
        raise chain.Wrong("a line is too long")
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise chain.Wrong("a line is not JSON") from None
    if not isinstance(said, dict):
        raise chain.Wrong("a line is not a JSON object")
    return said


def _row(said: Any) -> chain.SealedRow:
    try:
        kind, event = said[1], chain.event_of([said[0], *said[2:]])
    except (TypeError, ValueError, AttributeError, LookupError):
        raise chain.Wrong("a row is not written as one") from None
    if kind not in ("e", "a", "d"):
        raise chain.Wrong(f"a row is of the unknown kind {kind!r}")
    return event._replace(kind=kind)
