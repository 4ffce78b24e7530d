"""Keyed hashes (HMAC-SHA256): one kind to find rows by personal data, one to vouch for a message between two parties.

A stored hash names its algorithm and key, and without that key it cannot be tried against guessed numbers.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from chassis.crypto.secret_key import SecretKey, newest_first

HMAC_SHA256: Final = 1
"""The algorithm id in stored hashes; HMAC with SM3 will be another."""
MAC_BYTES: Final = 32
LOOKUP_KEYS: Final = 2


class KeyedHashes:
    """Hashes of one purpose, for look-ups; `keys` maps key id to key (`KeyFolder.secrets("hash")`).

    The purpose ("document-number", "phone") goes into the hash, so equal values in two columns do not show as equal.
    Stored bytes: algorithm (1) | length of kid (1) | kid | hash (32).
    """

    def __init__(self, keys: Mapping[str, SecretKey], purpose: str) -> None:
        if not purpose or "\0" in purpose:
            raise ValueError("a keyed hash needs a purpose without NUL")
        # A rotation hashes all rows anew before the next one begins: two keys are enough, and bound a look-up's cost.
        self._keys = newest_first(keys)[:LOOKUP_KEYS]
        self._prefix = b"look-up\0" + purpose.encode() + b"\0"

    def current(self, value: str | bytes) -> bytes:
        """Hash under the newest key: what a new row stores."""
        return self._stored(self._keys[0], value)

    def candidates(self, value: str | bytes) -> list[bytes]:
        """Hash under the newest key and the one before: what a look-up compares with, the newest first."""
        return [self._stored(key, value) for key in self._keys]

    def _stored(self, key: SecretKey, value: str | bytes) -> bytes:
        message = self._prefix + (value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)
        return bytes((HMAC_SHA256, len(key.kid))) + key.kid.encode("ascii") + mac(key, message)


def mac(key: SecretKey, message: bytes) -> bytes:
    """Vouch for a message to whoever holds the same key: 32 bytes, HMAC-SHA256."""
    return hmac.digest(key.value, message, hashlib.sha256)
