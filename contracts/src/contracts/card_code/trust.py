"""Public keys of cells, in the forms that terminals get them: PEM, JWK, or a cell's trust list.

Invariant: only P-256 public keys for ES256 come out, each under the id that it was published with.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from contracts.card_code.errors import TrustUnusable
from contracts.card_code.form import cell_of

KEYS_MAX: Final = 1000


def key_from_pem(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Read a P-256 public key from PEM; TrustUnusable otherwise."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TrustUnusable("A key is not a public key in PEM.") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise TrustUnusable("A key is not on P-256.")
    return key


def key_from_jwk(jwk: object) -> ec.EllipticCurvePublicKey:
    """Read a P-256 public key from a JSON Web Key (RFC 7518 section 6.2); TrustUnusable otherwise."""
    match jwk:
        case {"kty": "EC", "crv": "P-256", "x": str(x), "y": str(y)} if len(x) == len(y) == 43:
            try:
                return ec.EllipticCurvePublicNumbers(_number(x), _number(y), ec.SECP256R1()).public_key()
            except ValueError:
                raise TrustUnusable("A key is not a point of P-256.") from None
    raise TrustUnusable("A key is not a JSON Web Key on P-256.")


def keys_from_trust_list(trust_list: object) -> dict[str, ec.EllipticCurvePublicKey]:
    """Read the answer of `GET /v1/trust-list`: {"cell", "keys": [{"kid", "alg", "jwk"}], "as_of"}.

    Keys of algorithms that this version does not know are left out. A list that names a key of another cell than its
    own is refused whole: a cell vouches for its own keys only.
    """
    match trust_list:
        case {"cell": str(cell), "keys": [*entries]} if len(entries) <= KEYS_MAX:
            return dict(_entry(cell, entry) for entry in entries if _is_es256(entry))
    raise TrustUnusable("This is not a trust list.")


def _number(coordinate: str) -> int:
    return int.from_bytes(b64decode(coordinate + "=", altchars=b"-_", validate=True))


def _is_es256(entry: object) -> bool:
    return not isinstance(entry, Mapping) or entry.get("alg") == "ES256"


def _entry(cell: str, entry: object) -> tuple[str, ec.EllipticCurvePublicKey]:
    match entry:
        case {"kid": str(kid), "jwk": jwk}:
            try:
                if cell_of(kid) != cell:
                    raise TrustUnusable(f"The list of cell {cell} names a key of another cell.")
            except ValueError as error:
                raise TrustUnusable(f"The list of cell {cell} is unusable: {error}.") from None
            return kid, key_from_jwk(jwk)
    raise TrustUnusable("An entry of the trust list is not of the known form.")
