"""Ids: UUIDv7 (RFC 9562, section 5.7), ordered by time of creation and carrying no place."""

import os
import time
from collections.abc import Callable
from uuid import UUID

NewId = Callable[[], UUID]


def uuid7() -> UUID:
    """Return a new id: 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)
