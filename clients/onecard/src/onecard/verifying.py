"""Verifies an export offline: a file, public keys and remembered heads; no service, no network, little memory.

Invariant: what is said of the file is what `chassis.journal.verify` found; nothing here decides what is right.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chassis.crypto.errors import BadKey
from chassis.crypto.signing import PublicKey
from chassis.journal.keys import Verifiers
from chassis.journal.verify import LINE_MAX_BYTES, Verdict, verify_export
from chassis.keys import KeyFolder, KeyFolderError
from onecard.failures import Misused
from onecard.settings import read_small
from onecard.shapes import plain

_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
KEYS_MAX = 200

Progress = Callable[[int], None]
"""Is told the bytes read."""


@dataclass(frozen=True, kw_only=True)
class KnownHead:
    """A block that somebody remembers."""

    source: str | None  # None: it was written down without
    n: int
    hash: bytes


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found in a file."""

    verdict: Verdict
    source: str  # as the file says
    first_as_of: int | None  # microseconds; None without a block


class _Reading:
    """The lines of the file, and what its first two say."""

    def __init__(self, opened: IO[bytes], progress: Progress) -> None:
        self._opened = opened
        self._progress = progress
        self.source = ""
        self.first_as_of: int | None = None

    def __iter__(self) -> Iterator[bytes]:
        read = 0
        for number, line in enumerate(iter(lambda: self._opened.readline(LINE_MAX_BYTES + 1), b"")):
            if number < 2:
                self._note(line)
            read += len(line)
            if not number % 1_000:
                self._progress(read)
            yield line
        self._progress(read)

    def _note(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return
        match said:
            case {"source": str(source)}:
                self.source = plain(source)
            case {"block": {"as_of": int(as_of)}}:
                self.first_as_of = as_of


def verify_file(
    file: Path, keys: Verifiers, heads: Sequence[KnownHead], *, source: str | None, progress: Progress
) -> Verification:
    """Verify `file`; Misused when it cannot be read or a head is of another journal."""
    try:
        with file.open("rb") as opened:
            reading = _Reading(opened, progress)
            known = [(head.n, head.hash) for head in heads]
            verdict = verify_export(reading, keys, source=source, known_heads=known)
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror}.") from None
    for head in heads:
        if head.source not in (None, reading.source):
            raise Misused(f"The head of block {head.n} is of {head.source}, the export of {reading.source}.")
    return Verification(verdict=verdict, source=reading.source, first_as_of=reading.first_as_of)


def read_keys(place: Path) -> Verifiers:
    """Read a folder of <kid>.pem, or a file with a JSON Web Key Set (RFC 7517)."""
    try:
        if place.is_dir():
            return KeyFolder(place.parent).publics(place.name) if place.name else KeyFolder(place).publics(".")
        return _key_set(place)
    except (KeyFolderError, BadKey) as error:
        raise Misused(str(error)) from None


def _key_set(file: Path) -> Verifiers:
    try:
        said = json.loads(read_small(file))
    except (ValueError, RecursionError):
        said = None
    match said:
        case {"keys": [*entries]} if 0 < len(entries) <= KEYS_MAX and all(isinstance(e, dict) for e in entries):
            keys = [PublicKey.from_jwk(entry) for entry in entries]
        case _:
            raise Misused(f"{file} is neither a folder of <key id>.pem nor a JSON Web Key Set.")
    if len({key.kid for key in keys}) != len(keys):
        raise Misused(f"{file} has two keys of one id.")
    return {key.kid: key for key in keys}


def read_heads(given: Sequence[str]) -> list[KnownHead]:
    """Read `N:HASH`, or a file with such lines, or the JSON that export and verify print."""
    heads = [head for text in given for head in _heads(text)]
    by_place: dict[tuple[str | None, int], bytes] = {}
    for head in heads:
        if by_place.setdefault((head.source, head.n), head.hash) != head.hash:
            raise Misused(f"Two different heads of block {head.n} are given.")
    return heads


def _heads(text: str) -> list[KnownHead]:
    if found := _HEAD.fullmatch(text):
        return [_known(None, found)]
    file = Path(text)
    if not file.exists():
        raise Misused(f"{plain(text)} is neither BLOCK:HASH nor a file with such lines.")
    content = read_small(file).decode("utf-8", "replace")
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        said = None
    source: str | None = None
    match said:
        case {"source": str(), "head": None}:
            return []  # of a journal in which nothing stood yet
        case {"source": str(source), "head": {"n": int(n), "hash": str(digest)}}:
            words = [f"{n}:{digest}"]
        case _:
            words = content.split()
    found_all = [_HEAD.fullmatch(word) for word in words]
    if not found_all or None in found_all:
        raise Misused(f"{file} holds no heads: lines of BLOCK:HASH, or the JSON of an export or a verification.")
    return [_known(source, found) for found in found_all if found]


def _known(source: str | None, found: re.Match[str]) -> KnownHead:
    return KnownHead(source=source, n=int(found[1]), hash=bytes.fromhex(found[2]))
