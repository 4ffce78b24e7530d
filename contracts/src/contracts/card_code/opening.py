"""Opens the handle inside a verified code; only the home cell's card and scenario services hold the key for it.

Invariant: a sealed handle opens only in the code that it was sealed for.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.card_code.errors import HandleSealedElsewhere
from contracts.card_code.form import check_kid
from contracts.card_code.verifying import VerifiedCode

NONCE_BYTES: Final = 12


class HandleOpener:
    """Holds the handle keys of one cell, by id (32 bytes each)."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._ciphers = {check_kid(kid): AESGCM(key) for kid, key in keys.items()}

    def open(self, code: VerifiedCode) -> UUID:
        """Return the handle of the card that the code stands for; HandleSealedElsewhere without its key."""
        cipher = self._ciphers.get(code.handle.kid)
        if cipher is None:
            raise HandleSealedElsewhere
        bound = bound_to(code.cell, code.code_id)
        try:
            return UUID(bytes=cipher.decrypt(code.code_id[:NONCE_BYTES], code.handle.ciphertext, bound))
        except InvalidTag:
            raise HandleSealedElsewhere from None


def bound_to(cell: str, code_id: bytes) -> bytes:
    """The associated data of a sealed handle."""
    return b"OC1 handle\0" + cell.encode("ascii") + code_id
