"""The card code (卡码): what a card shows at a gate for 60 seconds, and its one encoder, verifier and opener.

A code is made by a cell (`CodeMaker`), verified offline by anyone with the cells' public keys (`Verifier`), and its
handle is read only by those with the cell's handle key (`HandleOpener`). Invariant: one code has exactly one written
form, and two codes of one card have nothing in common that codes of two cards do not.

A terminal needs only this package: `pip install onecard-contracts`, then

    verifier = Verifier(keys_from_trust_list(trust_list))   # the answer of GET /v1/trust-list
    code = verifier.verify(text, now=datetime.now(UTC))     # CardCodeError, or what the code says

Format: "OC1:" + base45 (RFC 9285) of COSE_Sign1 (RFC 9052, tag 18, ES256) over a CWT (RFC 8392), deterministic CBOR:
    protected    {1: -7 (ES256), 4: kid}        the kid begins with the cell: "330000-2026-11"
    claims       {1: iss = cell, 4: exp, 6: iat, 7: cti = 16 random bytes, -65537: [1, handle kid, sealed handle]}
    sealed       AES-256-GCM of the 16 bytes of the handle, nonce = the first 12 bytes of cti, bound to cell and cti
"""

from contracts.card_code.errors import (
    CardCodeError,
    CodeExpired,
    CodeForged,
    CodeMalformed,
    CodeNotYetValid,
    CodeTooLong,
    HandleSealedElsewhere,
    IssuerUnknown,
    TrustUnusable,
)
from contracts.card_code.form import LIFETIME_S, PREFIX, TEXT_MAX, SealedHandle
from contracts.card_code.making import CodeMaker, MadeCode
from contracts.card_code.opening import HandleOpener
from contracts.card_code.trust import key_from_jwk, key_from_pem, keys_from_trust_list
from contracts.card_code.verifying import VerifiedCode, Verifier

__all__ = [
    "LIFETIME_S",
    "PREFIX",
    "TEXT_MAX",
    "CardCodeError",
    "CodeExpired",
    "CodeForged",
    "CodeMaker",
    "CodeMalformed",
    "CodeNotYetValid",
    "CodeTooLong",
    "HandleOpener",
    "HandleSealedElsewhere",
    "IssuerUnknown",
    "MadeCode",
    "SealedHandle",
    "TrustUnusable",
    "VerifiedCode",
    "Verifier",
    "key_from_jwk",
    "key_from_pem",
    "keys_from_trust_list",
]
