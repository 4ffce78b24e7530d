"""The keys that a journal signs and verifies with, by key id.

Invariant: a block is verified only with a key mounted for its own source; the kid in a message is looked up in that
map and nowhere else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from chassis.crypto.errors import BadSignature
from chassis.keys import KeyFolder


class Signer(Protocol):
    """A private key; `chassis.crypto.signing.PrivateKey` is one."""

    @property
    def kid(self) -> str: ...
    @property
    def alg(self) -> str: ...
    def sign(self, message: bytes, /) -> bytes: ...


class Verifier(Protocol):
    """A public key; `verify` raises BadSignature. `chassis.crypto.signing.PublicKey` is one."""

    @property
    def kid(self) -> str: ...
    @property
    def alg(self) -> str: ...
    def verify(self, message: bytes, signature: bytes, /) -> None: ...


Verifiers = Mapping[str, Verifier]


class KeyNotHeld(Exception):
    """The key that must sign the next block is not in this process's folder of keys."""


def signed_by(verifiers: Verifiers, kid: str, alg: str, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is that of the key `kid`; no for a key that is not mounted or of another algorithm."""
    key = verifiers.get(kid)
    if key is None or key.alg != alg:
        return False
    try:
        key.verify(message, signature)
    except BadSignature:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class JournalKeys:
    """All keys of one service's journal."""

    own: Mapping[str, Signer]  # in the order of their ids; the last is the current one
    publics: Mapping[str, Verifiers]  # source -> kid -> public key

    @classmethod
    def from_folder(cls, folder: KeyFolder, follows: Iterable[str]) -> "JournalKeys":
        """Read journal/own and journal/public/<source> of every source followed."""
        return cls(
            own=folder.private("journal/own"),
            publics={source: folder.publics(f"journal/public/{source}") for source in follows},
        )

    @property
    def current(self) -> str:
        """The kid of the key that new blocks are to be signed with."""
        return list(self.own)[-1]
