"""Signatures with the key's id and algorithm beside each key (ES256 today; looked up by algorithm id).

A key is of exactly one algorithm, found when the key is read and never taken from what is to be verified.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from chassis.crypto.encoding import check_kid, from_base64url, to_base64url
from chassis.crypto.errors import BadKey, BadSignature


@dataclass(frozen=True)
class SignatureAlgorithm:
    """One entry of the registry: what an algorithm id means."""

    id: str
    """The name in JOSE (RFC 7518), stored and sent with every key and signature."""
    curve: ec.EllipticCurve
    jwk_curve: str
    digest: hashes.HashAlgorithm
    coordinate_bytes: int


ES256: Final = SignatureAlgorithm("ES256", ec.SECP256R1(), "P-256", hashes.SHA256(), 32)
ALGORITHMS: Final[Mapping[str, SignatureAlgorithm]] = MappingProxyType({ES256.id: ES256})
"""Every signature algorithm that a key may have, by id; SM2 with SM3 will be one more entry."""


@dataclass(frozen=True)
class PublicKey:
    """Verifies; may be shown to anyone."""

    kid: str
    native: ec.EllipticCurvePublicKey = field(repr=False)
    """The library's own key, for PyJWT only."""
    algorithm: SignatureAlgorithm = field(init=False)

    def __post_init__(self) -> None:
        _check_kid(self.kid)
        object.__setattr__(self, "algorithm", _algorithm_of(self.kid, self.native.curve))

    @property
    def alg(self) -> str:
        """The id of the one algorithm that this key verifies with."""
        return self.algorithm.id

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return when `signature` (raw r || s) is this key's over `message`; raise BadSignature otherwise."""
        size = self.algorithm.coordinate_bytes
        if len(signature) != 2 * size:
            raise BadSignature
        r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
        try:
            self.native.verify(encode_dss_signature(r, s), message, ec.ECDSA(self.algorithm.digest))
        except InvalidSignature:
            raise BadSignature from None

    def to_pem(self) -> bytes:
        """Write as PEM (SubjectPublicKeyInfo)."""
        return self.native.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    @classmethod
    def from_pem(cls, kid: str, pem: bytes) -> "PublicKey":
        """Read PEM; BadKey when it is not a public key of an algorithm in the registry."""
        try:
            native = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise BadKey(f"Key {kid} is not a public key in PEM.") from None
        if not isinstance(native, ec.EllipticCurvePublicKey):
            raise BadKey(f"Key {kid} is not of an algorithm in use here ({', '.join(ALGORITHMS)}).")
        return cls(kid, native)

    def to_jwk(self) -> dict[str, str]:
        """Write as a JSON Web Key (RFC 7517, 7518 section 6.2), for signature use."""
        numbers, size = self.native.public_numbers(), self.algorithm.coordinate_bytes
        return {
            "kty": "EC",
            "crv": self.algorithm.jwk_curve,
            "x": to_base64url(numbers.x.to_bytes(size)),
            "y": to_base64url(numbers.y.to_bytes(size)),
            "kid": self.kid,
            "alg": self.alg,
            "use": "sig",
        }

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, object]) -> "PublicKey":
        """Read a JSON Web Key; BadKey unless kid, alg, kty, crv and the point are there and agree."""
        kid, alg, x, y = (jwk.get(name) for name in ("kid", "alg", "x", "y"))
        if not (isinstance(kid, str) and isinstance(alg, str) and isinstance(x, str) and isinstance(y, str)):
            raise BadKey("A JSON Web Key needs kid, alg, x and y as text.")
        algorithm = ALGORITHMS.get(alg)
        if algorithm is None or jwk.get("kty") != "EC" or jwk.get("crv") != algorithm.jwk_curve or "d" in jwk:
            raise BadKey(f"Key {kid} is not a public key of an algorithm in use here ({', '.join(ALGORITHMS)}).")
        try:
            point = [from_base64url(text) for text in (x, y)]
            if any(len(coordinate) != algorithm.coordinate_bytes for coordinate in point):
                raise ValueError("a coordinate has the wrong length")
            native = ec.EllipticCurvePublicNumbers(
                int.from_bytes(point[0]), int.from_bytes(point[1]), algorithm.curve
            ).public_key()
        except ValueError:
            raise BadKey(f"Key {kid} is not a point of {algorithm.jwk_curve}.") from None
        return cls(kid, native)


@dataclass(frozen=True)
class PrivateKey:
    """Signs; stays in the process whose key folder holds it."""

    kid: str
    native: ec.EllipticCurvePrivateKey = field(repr=False)
    """The library's own key, for PyJWT only."""
    algorithm: SignatureAlgorithm = field(init=False)

    def __post_init__(self) -> None:
        _check_kid(self.kid)
        object.__setattr__(self, "algorithm", _algorithm_of(self.kid, self.native.curve))

    @property
    def alg(self) -> str:
        """The id of the one algorithm that this key signs with."""
        return self.algorithm.id

    @property
    def public(self) -> PublicKey:
        """The half that may be shown, under the same id."""
        return PublicKey(self.kid, self.native.public_key())

    def sign(self, message: bytes) -> bytes:
        """Sign `message`; the signature is raw r || s, as JOSE and COSE want it."""
        size = self.algorithm.coordinate_bytes
        r, s = decode_dss_signature(self.native.sign(message, ec.ECDSA(self.algorithm.digest)))
        return r.to_bytes(size) + s.to_bytes(size)

    @classmethod
    def generate(cls, kid: str, alg: str = ES256.id) -> "PrivateKey":
        """Make a new key for one of the algorithms in the registry."""
        algorithm = ALGORITHMS.get(alg)
        if algorithm is None:
            raise BadKey(f"No algorithm {alg!r} is in use here ({', '.join(ALGORITHMS)}).")
        return cls(kid, ec.generate_private_key(algorithm.curve))

    def to_pem(self) -> bytes:
        """Write as unencrypted PEM (PKCS #8); the folder's rights protect it."""
        return self.native.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @classmethod
    def from_pem(cls, kid: str, pem: bytes) -> "PrivateKey":
        """Read PEM; BadKey when it is not a private key of an algorithm in the registry."""
        try:
            native = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise BadKey(f"Key {kid} is not an unencrypted private key in PEM.") from None
        if not isinstance(native, ec.EllipticCurvePrivateKey):
            raise BadKey(f"Key {kid} is not of an algorithm in use here ({', '.join(ALGORITHMS)}).")
        return cls(kid, native)


def _check_kid(kid: str) -> None:
    try:
        check_kid(kid)
    except ValueError as error:
        raise BadKey(f"Key id refused: {error}.") from None


def _algorithm_of(kid: str, curve: ec.EllipticCurve) -> SignatureAlgorithm:
    for algorithm in ALGORITHMS.values():
        if algorithm.curve.name == curve.name:
            return algorithm
    raise BadKey(f"Key {kid} is on {curve.name}, which no algorithm in use here has ({', '.join(ALGORITHMS)}).")
