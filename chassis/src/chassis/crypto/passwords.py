"""Passwords and PINs, stored as argon2id over a keyed hash: whoever has the table alone cannot guess even a short one.

The stored text names key and parameters, so both can change while old passwords still verify.
Hashing takes tens of milliseconds of a core on purpose: call it in a worker thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from chassis.crypto.errors import CryptoError
from chassis.crypto.keyed_hash import mac
from chassis.crypto.secret_key import SecretKey, newest_first

PASSWORD_MAX_BYTES: Final = 1024
_PURPOSE: Final = b"password\0"


class PasswordTooLong(CryptoError):
    """A password has at most 1,024 bytes."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one guess costs; the defaults are OWASP's second choice (19 MiB, 2 passes, 1 lane), about 20 ms."""

    memory_kib: int = 19_456
    passes: int = 2
    lanes: int = 1


class Passwords:
    """Hashes with the newest key and verifies with any; `keys` maps key id to key (`KeyFolder.secrets("hash")`).

    Stored text: kid "$argon2id$v=19$m=…,t=…,p=…$salt$hash".
    """

    def __init__(self, keys: Mapping[str, SecretKey], cost: Cost | None = None) -> None:
        cost = cost or Cost()
        self._current = newest_first(keys)[0]
        self._keys = dict(keys)
        self._argon2 = PasswordHasher(cost.passes, cost.memory_kib, cost.lanes, type=Type.ID)

    def hash(self, password: str) -> str:
        """Return the text to store; PasswordTooLong for more than 1,024 bytes."""
        return self._current.kid + self._argon2.hash(_keyed(self._current, password))

    def verify(self, stored: str, password: str) -> bool:
        """Say whether `password` is the one that was stored; a stored text that cannot be read is no match."""
        kid, dollar, rest = stored.partition("$")
        key = self._keys.get(kid)
        if key is None:
            return False
        try:
            return self._argon2.verify(dollar + rest, _keyed(key, password))
        except (VerificationError, InvalidHashError, PasswordTooLong):
            return False

    def needs_rehash(self, stored: str) -> bool:
        """Say whether a stored text should be replaced after its next success: older key or other cost."""
        kid, dollar, rest = stored.partition("$")
        try:
            return kid != self._current.kid or self._argon2.check_needs_rehash(dollar + rest)
        except InvalidHashError:
            return True


def _keyed(key: SecretKey, password: str) -> bytes:
    raw = password.encode("utf-8", "surrogatepass")
    if len(raw) > PASSWORD_MAX_BYTES:
        raise PasswordTooLong
    return mac(key, _PURPOSE + raw)
