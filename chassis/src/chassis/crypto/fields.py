"""Personal data sealed for the store and for tokens: AES-256-GCM under a key id, bound to its place.

Sealed bytes name their format, algorithm and key, and open only with the associated data (the row, the purpose) that
they were sealed with, so a value copied to another row or column does not open.
"""

import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chassis.crypto.encoding import check_kid, from_base64url, to_base64url
from chassis.crypto.errors import CannotOpen
from chassis.crypto.secret_key import SecretKey, newest_first


class Cipher(Protocol):
    """An authenticated cipher with a nonce of 12 and a tag of 16 bytes."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


FORMAT: Final = 1
AES_256_GCM: Final = 1
CIPHERS: Final[Mapping[int, Callable[[bytes], Cipher]]] = MappingProxyType({AES_256_GCM: AESGCM})
"""Every cipher that sealed bytes may name, by algorithm id; SM4-GCM will be one more entry."""
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class FieldKeys:
    """Seals with the newest key and opens with any; `keys` maps key id to key (`KeyFolder.secrets("field")`).

    Nonces are random, so a key is replaced before it has sealed 2**32 values (NIST SP 800-38D section 8.3).

    Bytes: format (1) | algorithm (1) | length of kid (1) | kid | nonce (12) | ciphertext and tag.
    Text:  kid "." base64url(format | algorithm | nonce | ciphertext and tag).
    """

    def __init__(self, keys: Mapping[str, SecretKey]) -> None:
        self._current = newest_first(keys)[0].kid
        # Built once: the key schedule costs more than sealing a short field.
        self._ciphers = {
            (algorithm, key.kid): cipher(key.value) for algorithm, cipher in CIPHERS.items() for key in keys.values()
        }

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        """Encrypt for exactly one place; `associated` names it (b"person:<id>:phone") and is never empty."""
        nonce, encrypted = self._encrypt(plaintext, associated)
        return _header(AES_256_GCM, self._current) + nonce + encrypted

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Decrypt what was sealed for this place; CannotOpen for any other bytes, place or key."""
        kid, body = _split(sealed)
        return self._decrypt(sealed[0], sealed[1], kid, body, associated)

    def seal_text(self, plaintext: bytes, associated: bytes) -> str:
        """As `seal`, in the text form for claims and addresses."""
        nonce, encrypted = self._encrypt(plaintext, associated)
        return f"{self._current}.{to_base64url(bytes((FORMAT, AES_256_GCM)) + nonce + encrypted)}"

    def open_text(self, sealed: str, associated: bytes) -> bytes:
        """As `open`, for the text form; a second spelling of the same bytes does not open."""
        kid, _, rest = sealed.partition(".")
        try:
            body = from_base64url(rest)
            check_kid(kid)
        except ValueError:
            raise CannotOpen from None
        if len(body) < 2 + NONCE_BYTES + TAG_BYTES:
            raise CannotOpen
        return self._decrypt(body[0], body[1], kid, body[2:], associated)

    def _encrypt(self, plaintext: bytes, associated: bytes) -> tuple[bytes, bytes]:
        nonce = secrets.token_bytes(NONCE_BYTES)
        cipher = self._ciphers[AES_256_GCM, self._current]
        return nonce, cipher.encrypt(nonce, plaintext, _bound(AES_256_GCM, self._current, associated))

    def _decrypt(self, version: int, algorithm: int, kid: str, body: bytes, associated: bytes) -> bytes:
        cipher = self._ciphers.get((algorithm, kid))
        bound = _bound(algorithm, kid, associated)
        if version != FORMAT or cipher is None:
            raise CannotOpen
        try:
            return cipher.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], bound)
        except InvalidTag:
            raise CannotOpen from None


def _header(algorithm: int, kid: str) -> bytes:
    return bytes((FORMAT, algorithm, len(kid))) + kid.encode("ascii")


def _bound(algorithm: int, kid: str, associated: bytes) -> bytes:
    """What the tag covers besides the ciphertext: the header too, so that its bytes cannot be swapped."""
    if not associated:
        raise ValueError("associated data names the place of the sealed value and must not be empty")
    return _header(algorithm, kid) + associated


def _split(sealed: bytes) -> tuple[str, bytes]:
    if len(sealed) < 3 or sealed[0] != FORMAT:
        raise CannotOpen
    end = 3 + sealed[2]
    if len(sealed) < end + NONCE_BYTES + TAG_BYTES:
        raise CannotOpen
    try:
        return check_kid(sealed[3:end].decode("ascii")), sealed[end:]
    except ValueError:
        raise CannotOpen from None
