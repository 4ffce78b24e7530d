"""The format of the chain: leaves, roots, blocks, heads, and what makes the next block right. No I/O.

Invariant: a block is accepted only when it is signed by the key in force, names the hash of the block before it, and
holds exactly the events that its root says. Its hash is always computed here and never read from a message.
"""

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple

from chassis.journal.keys import Signer, Verifiers, signed_by

GENESIS = bytes(32)
BLOCK_MAX_ROWS = 1_000
BLOCK_MAX_BYTES = 150_000
"""Below NATS's 1 MB however JSON escapes it (six bytes for one at worst)."""
ROW_OVERHEAD_BYTES = 64
NAME_MAX_CHARACTERS = 1_000
VERSION = 1

_LEAF = struct.Struct(">qcHH")


class Malformed(ValueError):
    """These bytes are not a block, a head or an answer."""


class Wrong(Exception):
    """The block is not the right next one; the message says why."""


class SealedRow(NamedTuple):
    """A row as the chain sees it; an erased one has a digest instead of salt and body."""

    id: int
    kind: str
    topic: str
    key: str
    salt: bytes | None
    body: bytes | None
    digest: bytes | None


@dataclass(frozen=True, kw_only=True)
class Block:
    """A sealed piece of one journal: rows with from_id < id <= to_id, its events at positions first..last."""

    source: str  # "330000/card": cell and service
    n: int
    term: int
    beat: int
    first: int
    last: int  # first - 1 when it holds no event
    from_id: int
    to_id: int
    as_of: int  # every transaction confirmed before it is in the blocks up to n; microseconds
    events_root: bytes
    records_root: bytes
    prev: bytes
    alg: str
    kid: str
    next_kid: str | None  # the key that signs the blocks after this one, when it changes
    hash: bytes = b""
    sig: bytes = b""

    def computed_hash(self) -> bytes:
        """Hash everything but the signature, in one canonical form."""
        fields = [VERSION, self.source, self.n, self.term, self.beat, self.first, self.last, self.from_id, self.to_id]
        fields += [self.as_of, self.events_root.hex(), self.records_root.hex(), self.prev.hex()]
        fields += [self.alg, self.kid, self.next_kid]
        return sha256(b"onecard-journal-block\n" + _json(fields)).digest()


@dataclass(frozen=True, kw_only=True)
class Head:
    """The heartbeat: the newest block once more with a new time, signed."""

    source: str
    term: int
    beat: int
    n: int
    hash: bytes
    as_of: int
    alg: str
    kid: str
    sig: bytes = b""

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        fields = [VERSION, self.source, self.term, self.beat, self.n, self.hash.hex(), self.as_of, self.alg, self.kid]
        return b"onecard-journal-head\n" + _json(fields)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far one has come in a journal, and what the next block must fit."""

    block: int = 0
    position: int = 0
    beat: int = 0
    as_of: int = 0
    head: bytes = GENESIS
    kid: str | None = None  # None before the first block: any mounted key may sign it
    next_kid: str | None = None

    def allows(self, kid: str) -> bool:
        """Whether the next block may be signed by `kid`: the same key as before, or the one that was announced."""
        return self.kid is None or kid == (self.next_kid or self.kid)

    def after(self, block: Block) -> "Standing":
        """Move on to `block`; the position never goes back."""
        return replace(
            self,
            block=block.n,
            position=max(self.position, block.last),
            beat=block.beat,
            as_of=block.as_of,
            head=block.hash,
            kid=block.kid,
            next_kid=block.next_kid,
        )


def row_digest(row: SealedRow) -> bytes:
    """Commit to the body without showing it: the salt keeps an erased body from being guessed."""
    if row.digest is not None:
        return row.digest
    return sha256((row.salt or b"") + (row.body or b"")).digest()


def leaf(row: SealedRow) -> bytes:
    """Hash one row; every variable part is preceded by its length, so no two rows share a leaf's bytes."""
    topic, key = row.topic.encode(), row.key.encode()
    start = _LEAF.pack(row.id, row.kind.encode(), len(topic), len(key))
    return sha256(start + topic + key + row_digest(row)).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Hash the leaves of a block, in the order of their ids."""
    return sha256(b"onecard-journal-root\n" + b"".join(leaves)).digest()


def roots(rows: Sequence[SealedRow]) -> tuple[bytes, bytes]:
    """Return the events' root and the records' root: events may be dropped one day and the audit still verifies."""
    return root(leaf(r) for r in rows if r.kind == "e"), root(leaf(r) for r in rows if r.kind != "e")


def seal(block: Block, signer: Signer) -> Block:
    """Hash and sign a block that was filled in."""
    hashed = block.computed_hash()
    return replace(block, hash=hashed, sig=signer.sign(hashed))


def seal_head(head: Head, signer: Signer) -> Head:
    """Sign a heartbeat."""
    return replace(head, sig=signer.sign(head.signed_bytes()))


def check_block(block: Block, events: Sequence[SealedRow], before: Standing, verifiers: Verifiers) -> None:
    """Raise Wrong unless `block` with these events follows `before`.

    After a halved batch the position may lie beyond blocks that are not closed yet, hence `<=` for it.
    """
    check_link(block, before, verifiers)
    if block.first > before.position + 1:
        raise Wrong(f"it begins at position {block.first}, after {before.position}")
    if block.last - block.first + 1 != len(events):
        raise Wrong(f"it says {block.last - block.first + 1} events and holds {len(events)}")
    check_ids(block, events)
    if root(leaf(row) for row in events) != block.events_root:
        raise Wrong("its events are not those of its events root")


def check_link(block: Block, before: Standing, verifiers: Verifiers) -> None:
    """Raise Wrong unless the block itself, whatever it holds, is the signed successor of `before`."""
    if block.n != before.block + 1:
        raise Wrong(f"it is block {block.n}, after {before.block}")
    if block.hash != block.computed_hash():
        raise Wrong("its hash is not the hash of what it says")
    if not before.allows(block.kid):
        raise Wrong(f"it is signed by key {block.kid}, which the block before did not announce")
    if not signed_by(verifiers, block.kid, block.alg, block.hash, block.sig):
        raise Wrong(f"its signature is not that of key {block.kid}, or that key is not mounted")
    if block.prev != before.head:
        raise Wrong("it does not name the hash of the block before it")


def check_ids(block: Block, rows: Sequence[SealedRow]) -> None:
    """Raise Wrong unless the rows lie inside the block, in the order of their ids."""
    at = block.from_id
    for row in rows:
        if not at < row.id <= block.to_id:
            raise Wrong(f"row {row.id} is not between {at} and {block.to_id}")
        at = row.id


def is_signed_head(head: Head, verifiers: Verifiers) -> bool:
    """Whether the heartbeat was signed by its source."""
    return signed_by(verifiers, head.kid, head.alg, head.signed_bytes(), head.sig)


def encode_block(block: Block, events: Sequence[SealedRow]) -> bytes:
    """Write a block and its events as one JSON message."""
    rows = [
        [row.id, row.topic, row.key, row.salt.hex(), row.body.decode()]
        if row.body is not None and row.salt is not None
        else [row.id, row.topic, row.key, row_digest(row).hex()]
        for row in events
    ]
    return _json(block_fields(block) | {"events": rows})


def block_fields(block: Block) -> dict[str, Any]:
    """Return the block as JSON shows it, without its hash, which whoever reads it computes."""
    fields = {name: getattr(block, name) for name in ("source", "n", "term", "beat", "first", "last")}
    fields |= {name: getattr(block, name) for name in ("from_id", "to_id", "as_of", "alg", "kid", "next_kid")}
    return {"v": VERSION} | fields | {name: getattr(block, name).hex() for name in _BINARY}


_BINARY = ("events_root", "records_root", "prev", "sig")
_NUMBERS = ("n", "term", "beat", "first", "last", "from_id", "to_id", "as_of")


def decode_block(message: bytes) -> tuple[Block, list[SealedRow]]:
    """Read a block message; Malformed when it is not one. Nothing is verified here but the shape."""
    return block_of(_object(message))


def block_of(said: dict[str, Any]) -> tuple[Block, list[SealedRow]]:
    """Read a block out of parsed JSON."""
    try:
        block = block_from_fields(said)
        events = [event_of(row) for row in said["events"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Malformed(f"not a block: {type(error).__name__}") from None
    return block, events


def block_from_fields(said: dict[str, Any]) -> Block:
    """Read the fields of a block and compute its hash; ValueError, KeyError or TypeError when they are not right."""
    fields: dict[str, Any] = {name: _number(said[name]) for name in _NUMBERS}
    fields |= {name: bytes.fromhex(said[name]) for name in _BINARY}
    fields |= {name: _text(said[name]) for name in ("source", "alg", "kid")}
    next_kid = said["next_kid"]
    if said["v"] != VERSION or not (next_kid is None or isinstance(next_kid, str)):
        raise ValueError("version")
    block = Block(**fields, next_kid=next_kid)
    return replace(block, hash=block.computed_hash())


def encode_head(head: Head) -> bytes:
    """Write a heartbeat."""
    fields: dict[str, Any] = {"v": VERSION, "source": head.source, "term": head.term, "beat": head.beat, "n": head.n}
    fields |= {"as_of": head.as_of, "alg": head.alg, "kid": head.kid}
    return _json(fields | {"hash": head.hash.hex(), "sig": head.sig.hex()})


def decode_head(message: bytes) -> Head:
    """Read a heartbeat; Malformed when it is not one."""
    said = _object(message)
    try:
        if said["v"] != VERSION:
            raise ValueError("version")
        fields: dict[str, Any] = {name: _number(said[name]) for name in ("term", "beat", "n", "as_of")}
        fields |= {name: _text(said[name]) for name in ("source", "alg", "kid")}
        return Head(**fields, hash=bytes.fromhex(said["hash"]), sig=bytes.fromhex(said["sig"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(f"not a head: {type(error).__name__}") from None


def event_of(row: list[Any]) -> SealedRow:
    """Read an event as messages write it; ValueError, TypeError or AttributeError when it is not one."""
    if len(row) == 5:
        number, topic, key, salt, body = row
        return SealedRow(_number(number), "e", _text(topic), _text(key), bytes.fromhex(salt), body.encode(), None)
    number, topic, key, digest = row
    return SealedRow(_number(number), "e", _text(topic), _text(key), None, None, _digest(digest))


def _digest(text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != 32:
        raise ValueError("not a digest")
    return digest


def _object(message: bytes) -> dict[str, Any]:
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    if not isinstance(said, dict):
        raise Malformed("not a JSON object")
    return said


def _number(value: object) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError("not a number of 64 bits")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > NAME_MAX_CHARACTERS:
        raise ValueError("not a short text")
    if not value.isascii():
        value.encode()  # half of a surrogate pair is a ValueError
    return value


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
