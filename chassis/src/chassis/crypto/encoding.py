"""Base64url without padding and key ids, read strictly: one value has exactly one written form.

A second spelling of the same bytes would let two texts mean one token, so anything non-canonical is refused.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
# No dot: a key id is followed by one in text forms. No slash: it is a file's stem.
_KID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def to_base64url(value: bytes) -> str:
    """Write bytes as base64url without padding (RFC 4648 section 5)."""
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """Read base64url without padding; ValueError for padding, other alphabets, and unused bits that are not zero."""
    if not _ALPHABET.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError("not base64url without padding")
    value = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if to_base64url(value) != text:
        raise ValueError("base64url is not canonical")
    return value


def check_kid(kid: str) -> str:
    """Return the key id when it is 1 to 64 letters, digits, '_' or '-'; ValueError otherwise."""
    if not _KID.fullmatch(kid):
        raise ValueError("a key id is 1 to 64 letters, digits, '_' or '-'")
    return kid
