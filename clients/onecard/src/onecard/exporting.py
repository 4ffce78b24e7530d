"""Brings a service's journal into a file, page by page, for an auditor.

Invariant: the file appears under its name only when it is whole. Until then it is FILE.part, which holds whole blocks
that continue each other, so that an export that broke off goes on where it stopped.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from chassis.journal import chain
from onecard.cell import LINE_MAX_BYTES, Cell
from onecard.failures import Failure, Garbage, Misused, Unreachable

PAGE_BLOCKS = 200
PAGE_TRIES = 4
SCOPE = "journal.read"
_ROW = b'{"row":'

Progress = Callable[[int, int], None]
"""Is told the block and the rows reached."""


class Broken(Failure):
    """The journal that is answered does not continue what was exported before."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """How far an export has come."""

    service: str
    source: str = ""  # "330000/card"; empty before the first line
    block: int = 0
    hash: bytes = chain.GENESIS
    as_of: int = 0  # microseconds; of the last block
    rows: int = 0

    def after(self, line: bytes) -> "Exported":
        """Move on by one line; Garbage or Broken when it does not fit. Signatures are for whoever verifies."""
        if line.startswith(_ROW) and self.block:
            return replace(self, rows=self.rows + 1)
        try:
            said = json.loads(line)
            if not self.source:
                return self._begun(said)
            block = chain.block_from_fields(said["block"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Garbage(f"{self.service}-svc answered with a line that is not of a journal.") from None
        if (block.source, block.n, block.prev) != (self.source, self.block + 1, self.hash):
            raise Broken(f"Block {block.n} of {block.source} does not continue block {self.block} of {self.source}.")
        return replace(self, block=block.n, hash=block.hash, as_of=block.as_of)

    def _begun(self, said: dict[str, object]) -> "Exported":
        source = said["source"]
        if said["onecard_journal_export"] != chain.VERSION or not isinstance(source, str):
            raise ValueError("version")
        if source.partition("/")[2] != self.service:
            raise Broken(f"It is the journal of {source[:40]!r}, not of {self.service}.")
        return replace(self, source=source)


def export_journal(cell: Cell, service: str, file: Path, *, overwrite: bool, progress: Progress) -> Exported:
    """Write the whole journal of `service` to `file`, going on with FILE.part when there is one."""
    if file.exists() and not overwrite:
        raise Misused(f"{file} is already there; an export is evidence, so only --force replaces it.")
    part = file.with_name(f"{file.name}.part")
    cell.token(SCOPE)
    with _held(part) as opened:
        reached = _resumed(opened, service, part)
        try:
            reached = _all_pages(cell, opened, reached, progress)
        except Broken as broken:
            raise Broken(f"{broken} Was the service restored? Remove {part} to begin anew.") from None
        opened.flush()
        os.fsync(opened.fileno())
        part.replace(file)
    _sync_folder(file.parent)
    return reached


@contextmanager
def _held(part: Path) -> Iterator[IO[bytes]]:
    """Open FILE.part for us alone."""
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Misused(f"{part} cannot be written: {error.strerror}.") from None
    with os.fdopen(descriptor, "r+b") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Misused(f"Another export is writing {part}.") from None
        yield opened


def _resumed(opened: IO[bytes], service: str, part: Path) -> Exported:
    """Keep the whole blocks of FILE.part: all but the last, whose rows may be missing."""
    reached = kept = Exported(service=service)
    end = 0
    while line := opened.readline(LINE_MAX_BYTES):
        try:
            following = reached.after(line) if line.endswith(b"\n") else None
        except Garbage:
            following = None  # torn by a crash
        except Broken as broken:
            raise Misused(f"{part} is no unfinished export of {service}: {broken}") from None
        if following is None:
            break
        if following.block > reached.block:
            kept, end = reached, opened.tell() - len(line)
        reached = following
    if not kept.block:
        kept, end = Exported(service=service), 0
    opened.truncate(end)
    opened.seek(end)
    return kept


def _all_pages(cell: Cell, opened: IO[bytes], reached: Exported, progress: Progress) -> Exported:
    """Take pages until one is not full; smaller ones when they break off."""
    limit, tries = PAGE_BLOCKS, 0
    while True:
        start = opened.tell()
        try:
            after = _one_page(cell, opened, reached, limit)
        except Unreachable:
            opened.truncate(start)
            opened.seek(start)
            tries += 1
            if tries == PAGE_TRIES:
                raise
            limit = max(1, limit // 4)
            cell.world.wait(0.5 * tries)
            continue
        progress(after.block, after.rows)
        if after.block - reached.block < limit:
            return after
        reached, tries = after, 0


def _one_page(cell: Cell, opened: IO[bytes], reached: Exported, limit: int) -> Exported:
    path = f"/v1/services/{reached.service}/journal"
    for line in cell.lines(path, scope=SCOPE, params={"after": reached.block, "limit": limit}):
        reached = reached.after(line)
        opened.write(line)
    if not reached.source:
        raise Garbage(f"{reached.service}-svc answered with nothing.")
    return reached


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
