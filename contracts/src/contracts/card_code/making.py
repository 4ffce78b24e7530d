"""Makes card codes; only the cell's card service holds the keys for it.

Invariant: every code has fresh randomness in its id, and with it in the sealing and in the signature, so that nothing
in it depends on the card alone. A handle key seals at most 2**32 codes (NIST SP 800-38D section 8.3): rotate it
monthly.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.card_code import form
from contracts.card_code.form import Claims, SealedHandle, SignedParts
from contracts.card_code.opening import NONCE_BYTES, bound_to


@dataclass(frozen=True)
class MadeCode:
    """A fresh code and what its maker keeps of it."""

    text: str
    """Goes into the QR code, as it is."""
    code_id: bytes
    """16 bytes, unique to this code; what redemption is counted by."""
    issued_at: datetime
    expires_at: datetime


class CodeMaker:
    """Makes the codes of one cell.

    `kid` names the signing key and begins with the cell ("330000-2026-11"); `signing_key` is its P-256 private key.
    `handle_kid` and `handle_key` (32 bytes) seal the handle; the id is the same in all codes of the cell.
    """

    def __init__(
        self, *, kid: str, signing_key: ec.EllipticCurvePrivateKey, handle_kid: str, handle_key: bytes
    ) -> None:
        self.cell = form.cell_of(kid)
        if signing_key.curve.name != "secp256r1":
            raise ValueError("card codes are signed with a P-256 key")
        if len(handle_key) != 32:
            raise ValueError("a handle key has 32 bytes")
        self._kid = kid
        self._protected = form.protected_header(kid)
        self._signing_key = signing_key
        self._handle_kid = form.check_kid(handle_kid)
        self._cipher = AESGCM(handle_key)

    def make(self, handle: UUID, now: datetime, lifetime_s: int = form.LIFETIME_S) -> MadeCode:
        """Make a code of the card known by `handle`, valid from `now` (aware) for at most 60 seconds."""
        if not 0 < lifetime_s <= form.LIFETIME_S:
            raise ValueError(f"a card code lives at most {form.LIFETIME_S} s")
        issued_at = int(now.timestamp())
        code_id = secrets.token_bytes(form.CTI_BYTES)
        sealed = self._cipher.encrypt(code_id[:NONCE_BYTES], handle.bytes, bound_to(self.cell, code_id))
        claims = Claims(self.cell, issued_at, issued_at + lifetime_s, code_id, SealedHandle(self._handle_kid, sealed))
        text = form.put_together(self._sign(form.claims_to_payload(claims)))
        return MadeCode(
            text, code_id, datetime.fromtimestamp(issued_at, UTC), datetime.fromtimestamp(claims.expires_at, UTC)
        )

    def _sign(self, payload: bytes) -> SignedParts:
        unsigned = SignedParts(self._kid, self._protected, payload, b"")
        der = self._signing_key.sign(unsigned.signed_bytes(), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        # (r, n - s) verifies too; the lower of the two is the one written form.
        low_s = min(s, form.P256_ORDER - s)
        return SignedParts(self._kid, self._protected, payload, r.to_bytes(32) + low_s.to_bytes(32))
