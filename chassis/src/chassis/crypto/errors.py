"""What can go wrong in the crypto part, as one small tree; no message here ever contains key material or plaintext.

CryptoError
├── BadKey          a key that cannot be read or is of the wrong kind
├── BadSignature    a signature that does not belong to this message and key
└── CannotOpen      sealed bytes that this set of keys does not open
"""


class CryptoError(Exception):
    """Something cryptographic failed."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or (type(self).__doc__ or "").strip())


class BadKey(CryptoError):
    """The key cannot be read, or is of another kind than this purpose needs."""


class BadSignature(CryptoError):
    """The signature does not belong to this message and this key."""


class CannotOpen(CryptoError):
    """None of the keys at hand opens these sealed bytes for this place."""
