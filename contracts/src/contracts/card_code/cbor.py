"""Reads the part of CBOR that a card code needs, in its deterministic form only (RFC 8949 section 4.2.1).

Invariant: `read(raw)` succeeds only when `raw` is the one encoding of the value. It is our own because it looks at
bytes that nobody has signed yet: cbor2's decoder compiles regular expressions, follows references and ignores what
stands behind the value. The encoder is cbor2's.
"""

from dataclasses import dataclass
from typing import Final

DEPTH_MAX: Final = 4
ITEMS_MAX: Final = 16


@dataclass(frozen=True)
class Tagged:
    """A value under a tag."""

    tag: int
    value: object


def read(raw: bytes) -> object:
    """Return the one value in `raw`; ValueError for anything that is not deterministic CBOR of our few types."""
    value, end = _item(raw, 0, DEPTH_MAX)
    if end != len(raw):
        raise ValueError("bytes behind the value")
    return value


def _item(raw: bytes, at: int, depth: int) -> tuple[object, int]:
    major, argument, at = _head(raw, at)
    if major == 0:
        return argument, at
    if major == 1:
        return -1 - argument, at
    if major in (2, 3):
        return _string(raw, at, argument, as_text=major == 3)
    if depth == 0:
        raise ValueError("nested too deep")
    if major == 4:
        return _array(raw, at, argument, depth - 1)
    if major == 5:
        return _map(raw, at, argument, depth - 1)
    if major == 6:
        value, at = _item(raw, at, depth - 1)
        return Tagged(argument, value), at
    raise ValueError("a type that card codes do not have")


def _head(raw: bytes, at: int) -> tuple[int, int, int]:
    """Return major type, argument and where the content begins; the shortest form of the argument only."""
    if at >= len(raw):
        raise ValueError("cut off")
    major, short = raw[at] >> 5, raw[at] & 31
    at += 1
    if short < 24:
        return major, short, at
    if short > 27:
        raise ValueError("indefinite length or a reserved form")
    size = 1 << short - 24
    if at + size > len(raw):
        raise ValueError("cut off")
    argument = int.from_bytes(raw[at : at + size])
    if argument < (24, 1 << 8, 1 << 16, 1 << 32)[short - 24]:
        raise ValueError("not the shortest form")
    return major, argument, at + size


def _string(raw: bytes, at: int, size: int, *, as_text: bool) -> tuple[bytes | str, int]:
    end = at + size
    if end > len(raw):
        raise ValueError("cut off")
    return (raw[at:end].decode("utf-8") if as_text else raw[at:end]), end


def _array(raw: bytes, at: int, count: int, depth: int) -> tuple[list[object], int]:
    if count > ITEMS_MAX:
        raise ValueError("too many items")
    items = []
    for _ in range(count):
        item, at = _item(raw, at, depth)
        items.append(item)
    return items, at


def _map(raw: bytes, at: int, count: int, depth: int) -> tuple[dict[int, object], int]:
    if count > ITEMS_MAX:
        raise ValueError("too many items")
    entries: dict[int, object] = {}
    before = b""
    for _ in range(count):
        start = at
        key, at = _item(raw, at, depth)
        if not isinstance(key, int):
            raise ValueError("a key that is not a number")
        # Keys ascend by their encoded bytes, which also rules out a key that comes twice.
        if raw[start:at] <= before:
            raise ValueError("keys out of order or twice")
        before = raw[start:at]
        entries[key], at = _item(raw, at, depth)
    return entries, at
