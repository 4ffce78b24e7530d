"""What one cell vouches for to anyone: the public keys of its card codes, and where it is reached.

Invariant: a cell vouches for its own keys only; every key id begins with the cell's code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


class ForeignKey(Exception):
    """The folder of card-code keys holds a key of another cell."""


@dataclass(frozen=True)
class TrustedKey:
    """A public key with which a terminal verifies card codes offline."""

    kid: str  # begins with the cell: "330000-2026-11"
    alg: str  # "ES256"
    jwk: Mapping[str, str]


@dataclass(frozen=True)
class TrustList:
    """The keys of one cell at a moment (信任列表)."""

    cell: str
    keys: tuple[TrustedKey, ...]
    as_of: datetime


def trust_list(cell: str, keys: tuple[TrustedKey, ...], now: datetime) -> TrustList:
    """Put a cell's own keys together; raises ForeignKey for any other."""
    foreign = [key.kid for key in keys if not key.kid.startswith(f"{cell}-")]
    if foreign:
        raise ForeignKey(f"Cell {cell} cannot vouch for {', '.join(foreign)}.")
    return TrustList(cell, keys, now)
