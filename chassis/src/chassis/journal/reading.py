"""Answers `journal.<service>.read`: the newest block's number, and the blocks after the one asked for.

Invariant: any process of the service may answer, from the database alone; an answer stays below NATS's limit.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from nats.aio.msg import Msg

from chassis.bus import Interest, Receive
from chassis.journal import chain, sealing
from chassis.journal.applying import Sealed, Works

log = logging.getLogger(__name__)

ANSWER_MAX_BLOCKS = 32
ANSWER_MAX_BYTES = 800_000
QUESTION_MAX_BYTES = 200

_NEWEST = "SELECT coalesce(max(n), 0) FROM journal_block"
_HASH = "SELECT hash FROM journal_block WHERE n = $1"
_BLOCKS = f"""
SELECT {sealing.BLOCK_COLUMNS} FROM journal_block WHERE n > $1 ORDER BY n LIMIT {ANSWER_MAX_BLOCKS}
"""
_EVENTS = f"""
SELECT {sealing.ROW_COLUMNS} FROM journal_row WHERE id > $1 AND id <= $2 AND kind = 'e' ORDER BY id
"""


class Answer(NamedTuple):
    """What a source says when it is asked."""

    newest: int  # the number of its newest block
    at: bytes | None  # the hash of the block after which was asked; None when it has no such block
    blocks: Sequence[Sealed]


class Serves(Protocol):
    """The part of the bus that is needed to answer."""

    async def subscribe(self, subject: str, receive: Receive, *, queue: str = "") -> Interest: ...
    async def unsubscribe(self, interest: Interest) -> None: ...


def encode_question(after: int) -> bytes:
    """Ask for the blocks after number `after`."""
    return json.dumps({"after": after}).encode()


def decode_question(message: bytes) -> int:
    """Read a question; Malformed when it is not one."""
    try:
        after = json.loads(message)["after"] if len(message) <= QUESTION_MAX_BYTES else None
    except (ValueError, TypeError, KeyError, RecursionError):
        after = None
    if type(after) is not int or not 0 <= after < 2**63:
        raise chain.Malformed("not a question")
    return after


def decode_answer(message: bytes) -> Answer:
    """Read an answer; Malformed when it is not one."""
    try:
        said = json.loads(message)
        newest, at = said["newest"], said["at"]
        blocks = [chain.block_of(block) for block in said["blocks"]]
        if type(newest) is not int:
            raise ValueError("newest")
        return Answer(newest, None if at is None else bytes.fromhex(at), blocks)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise chain.Malformed("not an answer") from None


async def answer(connection: Any, source: str, after: int) -> bytes:
    """Write the answer to one question: at least one block if there is one, then while it stays small."""
    newest = await connection.fetchval(_NEWEST)
    at = chain.GENESIS if after == 0 else await connection.fetchval(_HASH, after)
    blocks: list[bytes] = []
    size = 0
    for record in await connection.fetch(_BLOCKS, after) if at is not None else ():
        block = sealing.block_from_record(source, record)
        rows = await connection.fetch(_EVENTS, block.from_id, block.to_id) if block.last >= block.first else ()
        encoded = chain.encode_block(block, [chain.SealedRow._make(row) for row in rows])
        if blocks and size + len(encoded) > ANSWER_MAX_BYTES:
            break
        blocks.append(encoded)
        size += len(encoded)
    start = json.dumps({"newest": newest, "at": None if at is None else at.hex()})
    return start[:-1].encode() + b', "blocks": [' + b",".join(blocks) + b"]}"


class Reading:
    """Serves reads for one service."""

    def __init__(self, *, service: str, cell: str, works: Works, bus: Serves) -> None:
        self._service = service
        self._source = f"{cell}/{service}"
        self._works = works
        self._bus = bus
        self._interest: Interest | None = None
        self.answered = 0
        self.failed = 0

    async def start(self) -> None:
        """Begin to answer, together with the other processes of the service."""
        self._interest = await self._bus.subscribe(
            f"journal.{self._service}.read", self._on_question, queue=f"journal-{self._service}"
        )

    async def stop(self) -> None:
        """Answer no more."""
        interest, self._interest = self._interest, None
        if interest is not None:
            await self._bus.unsubscribe(interest)

    async def _on_question(self, message: Msg) -> None:
        """Answer, or be silent: who asks asks again, and another process may answer then."""
        try:
            after = decode_question(message.data)
            async with asyncio.timeout(2.0), self._works.begin() as work:
                said = await answer(await work.asyncpg(), self._source, after)
            await message.respond(said)
            self.answered += 1
        except Exception as error:
            self.failed += 1
            log.warning("journal %s: a read was not answered: %s", self._service, type(error).__name__)
