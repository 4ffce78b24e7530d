"""Card codes: good ones verify until they expire; nothing else ever does, and nothing ever crashes a terminal."""

import os
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import base45
import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from contracts.card_code import (
    TEXT_MAX,
    CardCodeError,
    CodeExpired,
    CodeForged,
    CodeMaker,
    CodeMalformed,
    CodeNotYetValid,
    CodeTooLong,
    HandleOpener,
    HandleSealedElsewhere,
    IssuerUnknown,
    TrustUnusable,
    Verifier,
)
from contracts.card_code.form import P256_ORDER

KID = "330000-2026-11"
SIGNING_KEY = ec.generate_private_key(ec.SECP256R1())
HANDLE_KEY = os.urandom(32)
MAKER = CodeMaker(kid=KID, signing_key=SIGNING_KEY, handle_kid="2026-11", handle_key=HANDLE_KEY)
VERIFIER = Verifier({KID: SIGNING_KEY.public_key()})
OPENER = HandleOpener({"2026-11": HANDLE_KEY})
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
EXACT = timedelta(0)


@given(st.uuids(), st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1)))
def test_a_code_verifies_and_opens_to_its_handle(handle: UUID, at: datetime) -> None:
    at = at.replace(tzinfo=UTC)
    made = MAKER.make(handle, at)
    code = VERIFIER.verify(made.text, at)
    assert OPENER.open(code) == handle
    assert (code.cell, code.kid, code.code_id) == ("330000", KID, made.code_id)
    assert code.issued_at == at.replace(microsecond=0)
    assert code.expires_at - code.issued_at == timedelta(seconds=60)


def test_a_code_is_small_enough_for_an_old_phone_and_a_worn_scanner() -> None:
    text = MAKER.make(uuid4(), NOW).text
    assert len(base45.b45decode(text.removeprefix("OC1:"))) <= 180
    assert len(text) <= TEXT_MAX


def test_a_code_ends_with_its_sixtieth_second() -> None:
    text = MAKER.make(uuid4(), NOW).text
    for good in (0, 1, 59.999):
        VERIFIER.verify(text, NOW + timedelta(seconds=good), EXACT)
    for late in (60, 60.001, 3600):
        with pytest.raises(CodeExpired):
            VERIFIER.verify(text, NOW + timedelta(seconds=late), EXACT)
    with pytest.raises(CodeNotYetValid):
        VERIFIER.verify(text, NOW - timedelta(seconds=0.001), EXACT)


def test_a_clock_that_is_off_by_less_than_the_leeway_is_forgiven() -> None:
    text = MAKER.make(uuid4(), NOW).text
    leeway = timedelta(seconds=5)
    VERIFIER.verify(text, NOW - timedelta(seconds=5), leeway)
    VERIFIER.verify(text, NOW + timedelta(seconds=64.9), leeway)
    with pytest.raises(CodeNotYetValid):
        VERIFIER.verify(text, NOW - timedelta(seconds=5.1), leeway)
    with pytest.raises(CodeExpired):
        VERIFIER.verify(text, NOW + timedelta(seconds=65), leeway)


def test_no_flipped_bit_of_a_code_verifies() -> None:
    raw = base45.b45decode(MAKER.make(uuid4(), NOW).text.removeprefix("OC1:"))
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CardCodeError):
            VERIFIER.verify(_text(bytes(flipped)), NOW)


def test_no_cut_off_code_verifies() -> None:
    text = MAKER.make(uuid4(), NOW).text
    for length in range(len(text)):
        with pytest.raises(CardCodeError):
            VERIFIER.verify(text[:length], NOW)


@given(st.data())
def test_no_changed_character_verifies(data: st.DataObject) -> None:
    text = MAKER.make(uuid4(), NOW).text
    at = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.characters().filter(lambda character: character != text[at]))
    with pytest.raises(CardCodeError):
        VERIFIER.verify(text[:at] + new + text[at + 1 :], NOW)


@given(st.text(max_size=500))
def test_no_text_crashes_the_verifier(text: str) -> None:
    for garbage in (text, "OC1:" + text):
        with pytest.raises(CardCodeError):
            VERIFIER.verify(garbage, NOW)


@given(st.binary(max_size=250))
def test_no_bytes_crash_the_verifier(raw: bytes) -> None:
    with pytest.raises(CardCodeError):
        VERIFIER.verify(_text(raw), NOW)


def test_a_huge_text_is_refused_before_it_is_read() -> None:
    with pytest.raises(CodeTooLong):
        VERIFIER.verify("OC1:" + "0" * 100_000_000, NOW)


@pytest.mark.parametrize("wrong", [None, b"OC1:", 7, ["OC1:"]])
def test_what_is_not_text_is_no_code(wrong: object) -> None:
    with pytest.raises(CodeMalformed):
        VERIFIER.verify(wrong, NOW)  # type: ignore[arg-type]  # what an untyped terminal may pass


@pytest.mark.parametrize("change", [str.lower, lambda text: text + "\n", lambda text: " " + text, lambda t: t[4:]])
def test_a_code_has_one_written_form(change: object) -> None:
    assert callable(change)
    with pytest.raises(CodeMalformed):
        VERIFIER.verify(change(MAKER.make(uuid4(), NOW).text), NOW)


def test_the_second_spelling_of_a_signature_is_refused() -> None:
    text = MAKER.make(uuid4(), NOW).text
    raw = base45.b45decode(text.removeprefix("OC1:"))
    other_s = P256_ORDER - int.from_bytes(raw[-32:])
    with pytest.raises(CodeForged):
        VERIFIER.verify(_text(raw[:-32] + other_s.to_bytes(32)), NOW)


def test_another_key_under_the_same_id_is_a_forger() -> None:
    text = _maker(KID, ec.generate_private_key(ec.SECP256R1())).make(uuid4(), NOW).text
    with pytest.raises(CodeForged):
        VERIFIER.verify(text, NOW)


def test_a_key_that_nobody_trusts_is_named_as_unknown() -> None:
    with pytest.raises(IssuerUnknown):
        VERIFIER.verify(_maker("320000-2026-11", SIGNING_KEY).make(uuid4(), NOW).text, NOW)


def test_a_cell_cannot_speak_for_another() -> None:
    # Jiangsu's own key signs a code that says it is from Zhejiang.
    forged = _signed({**_claims(), 1: "330000"}, kid="320000-2026-11")
    with pytest.raises(CodeForged):
        Verifier({"320000-2026-11": SIGNING_KEY.public_key()}).verify(forged, NOW)


def test_the_forgery_helper_of_these_tests_makes_good_codes() -> None:
    assert VERIFIER.verify(_signed(_claims()), NOW).cell == "330000"


_NOW_S = int(NOW.timestamp())


@pytest.mark.parametrize(
    "change",
    [
        {4: _NOW_S + 61},
        {4: _NOW_S},
        {4: str(_NOW_S + 60)},
        {4: -1, 6: -61},
        {6: _NOW_S + 61},
        {4: 1 << 62, 6: (1 << 62) - 60},
        {7: bytes(15)},
        {7: "0" * 16},
        {1: 330000},
        {1: "33000"},
        {1: "３３００００"},
        {-65537: [2, b"2026-11", bytes(32)]},
        {-65537: [1, b"2026-11", bytes(31)]},
        {-65537: [1, b"", bytes(32)]},
        {-65537: [1, b"\xff", bytes(32)]},
        {-65537: [1, b"2026-11", bytes(32), 0]},
        {2: "a subject would link codes"},
    ],
)
def test_a_signed_code_with_odd_claims_is_refused(change: dict[int, object]) -> None:
    with pytest.raises(CodeMalformed):
        VERIFIER.verify(_signed({**_claims(), **change}), NOW)


@pytest.mark.parametrize("missing", [1, 4, 6, 7, -65537])
def test_a_signed_code_without_a_claim_is_refused(missing: int) -> None:
    claims = _claims()
    del claims[missing]
    with pytest.raises(CodeMalformed):
        VERIFIER.verify(_signed(claims), NOW)


def _odd_encodings() -> dict[str, bytes]:
    raw = base45.b45decode(MAKER.make(uuid4(), NOW).text.removeprefix("OC1:"))
    items = cbor2.loads(raw).value
    return {
        "another tag": cbor2.dumps(cbor2.CBORTag(17, items)),
        "no tag": cbor2.dumps(items),
        "the tag of a CWT outside": cbor2.dumps(cbor2.CBORTag(61, cbor2.CBORTag(18, items))),
        "something behind": raw + b"\0",
        "a long tag": b"\xd8\x12" + raw[1:],
        "an endless array": b"\xd2\x9f" + raw[2:] + b"\xff",
        "an unprotected header": cbor2.dumps(cbor2.CBORTag(18, [items[0], {4: b"x"}, items[2], items[3]])),
        "a fifth part": cbor2.dumps(cbor2.CBORTag(18, [*items, b""])),
        "a DER signature": cbor2.dumps(cbor2.CBORTag(18, [*items[:3], items[3] + b"\0"])),
        "a text for a payload": cbor2.dumps(cbor2.CBORTag(18, [items[0], {}, "payload", items[3]])),
        "deep nesting": b"\xd2" + b"\x81" * 200,
        "a huge length": b"\xd2\x84\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
        "nothing": b"",
    }


@pytest.mark.parametrize("name", _odd_encodings())
def test_an_odd_encoding_is_malformed(name: str) -> None:
    with pytest.raises(CodeMalformed):
        VERIFIER.verify(_text(_odd_encodings()[name]), NOW)


@pytest.mark.parametrize(
    "protected",
    [
        {1: -7},
        {4: KID.encode()},
        {1: -8, 4: KID.encode()},
        {1: 0, 4: KID.encode()},
        {1: -7, 4: KID},
        {1: -7, 4: KID.encode(), 2: [1]},
        {1: -7, 4: b"x" * 25},
    ],
)
def test_another_protected_header_is_malformed(protected: dict[int, object]) -> None:
    with pytest.raises(CodeMalformed):
        VERIFIER.verify(_signed(_claims(), protected=cbor2.dumps(protected)), NOW)


@pytest.mark.parametrize(
    "payload",
    [
        b"\xa2\x01\x66330000\x01\x66330000",  # a key twice
        b"\xa2\x04\x00\x01\x66330000",  # keys out of order
        b"\xbf\x01\x66330000\xff",  # endless map
        b"\xa1\x18\x01\x66330000",  # a key not in its shortest form
        b"\xa1\xf5\x00",  # a key that is true
        b"\xa1\x01\xfb\x7f\xf8\0\0\0\0\0\0",  # not a number
        b"\xa1\x01\xd8\x23\x62\x28\x61",  # a regular expression
        b"\xa1\x01\xc2\x49\xff\xff\xff\xff\xff\xff\xff\xff\xff",  # a bignum
        b"\xa1\x01\x62\xff\xfe",  # text that is not UTF-8
        b"",
    ],
)
def test_a_signed_payload_of_another_form_is_malformed(payload: bytes) -> None:
    with pytest.raises(CodeMalformed):
        VERIFIER.verify(_signed({}, payload=payload), NOW)


def test_a_handle_opens_with_its_cells_key_only() -> None:
    code = VERIFIER.verify(MAKER.make(uuid4(), NOW).text, NOW)
    for keys in ({}, {"2026-12": HANDLE_KEY}, {"2026-11": os.urandom(32)}):
        with pytest.raises(HandleSealedElsewhere):
            HandleOpener(keys).open(code)


def test_a_sealed_handle_moved_into_another_code_does_not_open() -> None:
    code = VERIFIER.verify(MAKER.make(uuid4(), NOW).text, NOW)
    moved = _signed({**_claims(), -65537: [1, b"2026-11", code.handle.ciphertext]})
    with pytest.raises(HandleSealedElsewhere):
        OPENER.open(VERIFIER.verify(moved, NOW))


def test_a_key_without_its_cell_in_its_id_is_not_trusted() -> None:
    for kid in ("2026-11", "330000", "330000-", "33000-1", ""):
        with pytest.raises(TrustUnusable):
            Verifier({kid: SIGNING_KEY.public_key()})
        with pytest.raises(ValueError, match="key id"):
            _maker(kid, SIGNING_KEY)
    with pytest.raises(TrustUnusable):
        Verifier({KID: ec.generate_private_key(ec.SECP384R1()).public_key()})


def _maker(kid: str, key: ec.EllipticCurvePrivateKey) -> CodeMaker:
    return CodeMaker(kid=kid, signing_key=key, handle_kid="2026-11", handle_key=HANDLE_KEY)


def _claims() -> dict[int, object]:
    at = int(NOW.timestamp())
    return {1: "330000", 4: at + 60, 6: at, 7: os.urandom(16), -65537: [1, b"2026-11", bytes(32)]}


def _signed(claims: dict[int, object], *, kid: str = KID, protected: bytes = b"", payload: bytes | None = None) -> str:
    """Write a code the way somebody would who holds a trusted key but not our encoder."""
    protected = protected or cbor2.dumps({1: -7, 4: kid.encode()})
    payload = cbor2.dumps(claims, canonical=True) if payload is None else payload
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    r, s = decode_dss_signature(SIGNING_KEY.sign(signed, ec.ECDSA(hashes.SHA256())))
    signature = r.to_bytes(32) + min(s, P256_ORDER - s).to_bytes(32)
    return _text(cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature])))


def _text(raw: bytes) -> str:
    encoded: bytes = base45.b45encode(raw)
    return "OC1:" + encoded.decode()
