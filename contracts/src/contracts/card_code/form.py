"""The written form of a card code: text <-> signed parts <-> claims, strict in both directions.

Invariant: what `take_apart` accepts is byte for byte what `put_together` writes for the same parts. Nothing here
verifies a signature.
"""

import re
from dataclasses import dataclass
from typing import Final

import base45
import cbor2

from contracts.card_code.cbor import Tagged, read
from contracts.card_code.errors import CodeMalformed, CodeTooLong

PREFIX: Final = "OC1:"
VERSION: Final = 1
LIFETIME_S: Final = 60
TEXT_MAX: Final = 400
"""Characters; a code has about 265."""
CTI_BYTES: Final = 16
SIGNATURE_BYTES: Final = 64
SEALED_BYTES: Final = 32
KID_BYTES_MAX: Final = 24
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HALF_ORDER: Final = P256_ORDER // 2
TIME_MAX: Final = 1 << 37
"""Seconds since 1970; the year 6325, well inside what a datetime holds."""

_COSE_SIGN1: Final = 18
_ALG, _KID, _ES256 = 1, 4, -7
_ISS, _EXP, _IAT, _CTI, _HANDLE = 1, 4, 6, 7, -65537  # RFC 8392; the last from the range for private use
_CELL = re.compile(r"[0-9]{6}", re.ASCII)
_KID_FORM = re.compile(r"[A-Za-z0-9_-]{1,24}", re.ASCII)


@dataclass(frozen=True)
class SealedHandle:
    """The card's handle as a code carries it: unreadable without the cell's handle key."""

    kid: str
    ciphertext: bytes


@dataclass(frozen=True)
class Claims:
    """What a code says."""

    cell: str
    issued_at: int  # seconds since 1970
    expires_at: int
    code_id: bytes
    handle: SealedHandle


@dataclass(frozen=True)
class SignedParts:
    """A code taken apart: which key is said to have signed which bytes."""

    kid: str
    protected: bytes
    payload: bytes
    signature: bytes

    def signed_bytes(self) -> bytes:
        """Return what the signature covers (RFC 9052 section 4.4)."""
        return cbor2.dumps(["Signature1", self.protected, b"", self.payload])


def protected_header(kid: str) -> bytes:
    """Write the header that names algorithm and key."""
    return cbor2.dumps({_ALG: _ES256, _KID: kid.encode("ascii")}, canonical=True)


def claims_to_payload(claims: Claims) -> bytes:
    """Write the claims as a CWT."""
    handle = [VERSION, claims.handle.kid.encode("ascii"), claims.handle.ciphertext]
    return cbor2.dumps(
        {
            _ISS: claims.cell,
            _EXP: claims.expires_at,
            _IAT: claims.issued_at,
            _CTI: claims.code_id,
            _HANDLE: handle,
        },
        canonical=True,
    )


def put_together(parts: SignedParts) -> str:
    """Write the text that goes into the QR code."""
    raw = cbor2.dumps(cbor2.CBORTag(_COSE_SIGN1, [parts.protected, {}, parts.payload, parts.signature]), canonical=True)
    return PREFIX + _to_base45(raw)


def take_apart(text: str) -> SignedParts:
    """Read the text of a code; CodeTooLong or CodeMalformed when it is not exactly what `put_together` writes."""
    if not isinstance(text, str):
        raise CodeMalformed
    if len(text) > TEXT_MAX:
        raise CodeTooLong
    try:
        match read(_from_base45(text)):
            case Tagged(tag, [bytes(protected), {**unprotected}, bytes(payload), bytes(signature)]) if (
                tag == _COSE_SIGN1 and not unprotected and len(signature) == SIGNATURE_BYTES
            ):
                return SignedParts(_kid_in(protected), protected, payload, signature)
    except ValueError:
        raise CodeMalformed from None
    raise CodeMalformed


def payload_to_claims(payload: bytes) -> Claims:
    """Read the claims; CodeMalformed when one is missing, unknown or of another form."""
    try:
        match read(payload):
            case {
                1: str(cell),
                4: int(expires_at),
                6: int(issued_at),
                7: bytes(code_id),
                -65537: [1, bytes(handle_kid), bytes(ciphertext)],
                **unknown,
            } if (
                not unknown
                and _CELL.fullmatch(cell)
                and 0 <= issued_at < expires_at <= min(issued_at + LIFETIME_S, TIME_MAX)
                and len(code_id) == CTI_BYTES
                and len(ciphertext) == SEALED_BYTES
            ):
                return Claims(cell, issued_at, expires_at, code_id, SealedHandle(_kid(handle_kid), ciphertext))
    except ValueError:
        raise CodeMalformed from None
    raise CodeMalformed


def check_kid(kid: str) -> str:
    """Return a key id that a code may carry; ValueError otherwise."""
    if not _KID_FORM.fullmatch(kid):
        raise ValueError(f"the key id {kid!r} is not 1 to {KID_BYTES_MAX} letters, digits, '_' or '-'")
    return kid


def cell_of(kid: str) -> str:
    """Name the cell that a signing key belongs to: its id is "<cell>-<name>"; ValueError otherwise."""
    cell, dash, name = check_kid(kid).partition("-")
    if not (_CELL.fullmatch(cell) and dash and name):
        raise ValueError(f"the key id {kid!r} does not begin with its cell, as in 330000-2026-11")
    return cell


def _to_base45(raw: bytes) -> str:
    text: bytes = base45.b45encode(raw)
    return text.decode("ascii")


def _from_base45(text: str) -> bytes:
    encoded = text.removeprefix(PREFIX)
    if encoded == text:
        raise ValueError("another prefix")
    raw: bytes = base45.b45decode(encoded)
    # The decoder forgives a newline at the end; a code has one written form only.
    if _to_base45(raw) != encoded:
        raise ValueError("not canonical")
    return raw


def _kid_in(protected: bytes) -> str:
    match read(protected):
        case {1: -7, 4: bytes(kid), **unknown} if not unknown:
            return _kid(kid)
    raise ValueError("a header of another form")


def _kid(raw: bytes) -> str:
    return check_kid(raw.decode("ascii"))
