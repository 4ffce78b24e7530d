"""A symmetric key of 32 bytes with its id; printing one never shows the key."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis.crypto.encoding import check_kid, from_base64url, to_base64url
from chassis.crypto.errors import BadKey

KEY_BYTES = 32


@dataclass(frozen=True)
class SecretKey:
    """32 bytes for a keyed hash or for AES-256-GCM; one key serves one purpose only."""

    kid: str
    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        try:
            check_kid(self.kid)
        except ValueError as error:
            raise BadKey(f"Key id refused: {error}.") from None
        if len(self.value) != KEY_BYTES:
            raise BadKey(f"Key {self.kid} has {len(self.value)} bytes; {KEY_BYTES} are needed.")

    @classmethod
    def generate(cls, kid: str) -> "SecretKey":
        """Make a new key from the operating system's randomness."""
        return cls(kid, secrets.token_bytes(KEY_BYTES))

    @classmethod
    def from_text(cls, kid: str, text: str) -> "SecretKey":
        """Read the form that key files hold: base64url, white space around it allowed."""
        try:
            return cls(kid, from_base64url(text.strip()))
        except ValueError as error:
            raise BadKey(f"Key {kid} cannot be read: {error}.") from None

    def to_text(self) -> str:
        """Write the form that key files hold, without a newline."""
        return to_base64url(self.value)


def newest_first(keys: Mapping[str, SecretKey]) -> list[SecretKey]:
    """Order keys from the current one, which is the last id in sort order, to the oldest."""
    if not keys:
        raise BadKey("At least one key is needed.")
    for kid, key in keys.items():
        if kid != key.kid:
            raise BadKey(f"Key {key.kid} is listed under the id {kid}.")
    return [keys[kid] for kid in sorted(keys, reverse=True)]
