"""Two verifiers who compare notes cannot tell whether two codes are of one card."""

import os
from datetime import UTC, datetime
from uuid import UUID, uuid4

import base45
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.card_code import CodeMaker

MAKER = CodeMaker(
    kid="330000-2026-11",
    signing_key=ec.generate_private_key(ec.SECP256R1()),
    handle_kid="2026-11",
    handle_key=os.urandom(32),
)
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
CODES = 400


def test_bytes_that_codes_of_one_card_share_are_shared_by_codes_of_all_cards() -> None:
    card = uuid4()
    of_one_card = [_raw(card) for _ in range(CODES)]
    of_many_cards = [_raw(uuid4()) for _ in range(CODES)]
    assert _constants(of_one_card) == _constants(of_many_cards)
    # What varies is the code's id, the sealed handle and the signature, and nothing else: 16 + 32 + 64 bytes.
    assert len(of_one_card[0]) - len(_constants(of_one_card)) == 16 + 32 + 64


def test_codes_of_one_card_are_as_far_apart_as_codes_of_two() -> None:
    card, other = uuid4(), uuid4()
    same = [_bits_apart(_raw(card), _raw(card)) for _ in range(CODES)]
    different = [_bits_apart(_raw(card), _raw(other)) for _ in range(CODES)]
    varying_bits = (16 + 32 + 64) * 8
    # The mean of 400 draws of a binomial has a standard error of 0.75 bits here: six of them never happen by chance.
    for distances in (same, different):
        assert abs(sum(distances) / CODES - varying_bits / 2) < 4.5


def test_all_codes_are_equally_long() -> None:
    assert len({len(MAKER.make(uuid4(), NOW).text) for _ in range(CODES)}) == 1


def _raw(card: UUID) -> bytes:
    text = MAKER.make(card, NOW).text
    raw: bytes = base45.b45decode(text.removeprefix("OC1:"))
    return raw


def _constants(codes: list[bytes]) -> list[tuple[int, int]]:
    return [(position, values[0]) for position, values in enumerate(zip(*codes, strict=True)) if len(set(values)) == 1]


def _bits_apart(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()
