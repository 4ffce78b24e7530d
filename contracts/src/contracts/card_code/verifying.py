"""Verifies card codes offline, with public keys only.

Invariant: a code is accepted only when a trusted key of the very cell that it names has signed it and it is of now;
whatever the input, nothing but CardCodeError comes out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from contracts.card_code import form
from contracts.card_code.errors import CodeExpired, CodeForged, CodeNotYetValid, IssuerUnknown, TrustUnusable
from contracts.card_code.form import HALF_ORDER, Claims, SealedHandle, SignedParts

LEEWAY = timedelta(seconds=5)
"""How far a terminal's clock may be off; a code lives no longer for the cell that redeems it."""


@dataclass(frozen=True)
class VerifiedCode:
    """What a code says, after its signature and its time have been found right."""

    cell: str
    """The cell that made it, six digits (GB/T 2260)."""
    kid: str
    """The key that signed it."""
    code_id: bytes
    """16 bytes, unique to this code; what redemption is counted by."""
    issued_at: datetime
    expires_at: datetime
    handle: SealedHandle
    """The card's handle, unreadable without the cell's handle key."""


class Verifier:
    """Holds the public keys of the trusted cells by key id; the id begins with the cell that the key speaks for."""

    def __init__(self, trust: Mapping[str, ec.EllipticCurvePublicKey]) -> None:
        for kid, key in trust.items():
            try:
                form.cell_of(kid)
            except ValueError as error:
                raise TrustUnusable(f"A key cannot be trusted: {error}.") from None
            if key.curve.name != "secp256r1":
                raise TrustUnusable(f"The key {kid} is not on P-256.")
        self._trust = dict(trust)

    def verify(self, text: str, now: datetime, leeway: timedelta = LEEWAY) -> VerifiedCode:
        """Return what the code says; CardCodeError when it is no good code at `now` (aware) give or take `leeway`."""
        parts = form.take_apart(text)
        self._check_signature(parts)
        claims = form.payload_to_claims(parts.payload)
        if form.cell_of(parts.kid) != claims.cell:
            raise CodeForged("The code names another cell than the one that signed it.")
        _check_time(claims, now, leeway)
        return VerifiedCode(
            claims.cell,
            parts.kid,
            claims.code_id,
            datetime.fromtimestamp(claims.issued_at, UTC),
            datetime.fromtimestamp(claims.expires_at, UTC),
            claims.handle,
        )

    def _check_signature(self, parts: SignedParts) -> None:
        key = self._trust.get(parts.kid)
        if key is None:
            raise IssuerUnknown
        r, s = int.from_bytes(parts.signature[:32]), int.from_bytes(parts.signature[32:])
        if s > HALF_ORDER:  # the second spelling of the same signature
            raise CodeForged
        try:
            key.verify(encode_dss_signature(r, s), parts.signed_bytes(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise CodeForged from None


def _check_time(claims: Claims, now: datetime, leeway: timedelta) -> None:
    """A code is good from its issue until just before its expiry (RFC 8392 section 3.1.4)."""
    now_s, leeway_s = now.timestamp(), leeway.total_seconds()
    if now_s + leeway_s < claims.issued_at:
        raise CodeNotYetValid
    if now_s - leeway_s >= claims.expires_at:
        raise CodeExpired
