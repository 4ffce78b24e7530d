"""The format alone: what is written is read back, and nothing that was changed passes."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chassis.crypto.signing import PrivateKey
from chassis.journal import chain
from chassis.journal.reading import decode_answer, decode_question, encode_question

KEY = PrivateKey.generate("2026-1")
VERIFIERS = {"2026-1": KEY.public}


def row(number: int, body: bytes | None = '{"姓":"甲"}'.encode(), kind: str = "e") -> chain.SealedRow:
    salt, digest = (bytes([number]) * 16, None) if body is not None else (None, b"d" * 32)
    return chain.SealedRow(number, kind, "card.card.enabled.v1", f"键{number}", salt, body, digest)


def block(rows: list[chain.SealedRow], before: chain.Standing | None = None, **changed: Any) -> chain.Block:
    before = before or chain.Standing()
    events = [r for r in rows if r.kind == "e"]
    events_root, records_root = chain.roots(rows)
    fields: dict[str, Any] = {
        "source": "330000/card",
        "n": before.block + 1,
        "term": 1,
        "beat": before.beat + 1,
        "first": before.position + 1,
        "last": before.position + len(events),
        "from_id": 0,
        "to_id": 100,
        "as_of": 1_700_000_000_000_000,
        "events_root": events_root,
        "records_root": records_root,
        "prev": before.head,
        "alg": "ES256",
        "kid": "2026-1",
        "next_kid": None,
    }
    return chain.seal(chain.Block(**(fields | changed)), KEY)


ROWS = [row(3), row(5), row(9, None)]


def test_a_block_is_read_back_as_it_was_written() -> None:
    sealed = block(ROWS)
    assert chain.decode_block(chain.encode_block(sealed, ROWS)) == (sealed, ROWS)


def test_a_right_block_passes() -> None:
    chain.check_block(block(ROWS), ROWS, chain.Standing(), VERIFIERS)


def test_no_flipped_bit_passes() -> None:
    sealed = block(ROWS)
    message = chain.encode_block(sealed, ROWS)
    passed = []
    for at in range(len(message)):
        flipped = bytearray(message)
        flipped[at] ^= 1 << (at % 8)
        try:
            read, events = chain.decode_block(bytes(flipped))
            chain.check_block(read, events, chain.Standing(), VERIFIERS)
        except (chain.Malformed, chain.Wrong):
            continue
        passed.append((read, events))
    # A bit that changes the case of a hexadecimal digit changes nothing that is said.
    assert all(said == (sealed, ROWS) for said in passed)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"n": 2}, "it is block 2"),
        ({"prev": b"x" * 32}, "hash of the block before"),
        ({"first": 2, "last": 4}, "begins at position 2"),
        ({"last": 2}, "says 2 events"),
        ({"to_id": 8}, "row 9"),
        ({"from_id": 3}, "row 3"),
        ({"events_root": b"x" * 32}, "events root"),
        ({"kid": "2027-1"}, "not that of key 2027-1"),
        ({"alg": "none"}, "signature"),
    ],
)
def test_a_signed_block_that_does_not_fit_says_why(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(chain.Wrong, match=why):
        chain.check_block(block(ROWS, **changed), ROWS, chain.Standing(), VERIFIERS)


def test_a_block_signed_by_another_key_under_the_right_name_is_wrong() -> None:
    forged = chain.seal(replace(block(ROWS), sig=b""), PrivateKey.generate("2026-1"))
    with pytest.raises(chain.Wrong, match="signature"):
        chain.check_block(forged, ROWS, chain.Standing(), VERIFIERS)


def test_after_a_halved_batch_the_position_may_lie_inside_the_next_block() -> None:
    chain.check_block(block(ROWS), ROWS, chain.Standing(position=2), VERIFIERS)


def test_rows_that_differ_only_in_where_topic_ends_have_different_leaves() -> None:
    one = row(1)._replace(topic="ab", key="c")
    other = row(1)._replace(topic="a", key="bc")
    assert chain.leaf(one) != chain.leaf(other)


def test_an_erased_row_has_the_leaf_that_it_had() -> None:
    whole = row(1)
    erased = whole._replace(salt=None, body=None, digest=chain.row_digest(whole))
    assert chain.leaf(erased) == chain.leaf(whole)


def test_events_and_records_have_roots_of_their_own() -> None:
    events, records = chain.roots([row(1), row(2, kind="a"), row(3, kind="d")])
    assert (events, records) == (
        chain.root([chain.leaf(row(1))]),
        chain.root([chain.leaf(row(2, kind="a")), chain.leaf(row(3, kind="d"))]),
    )


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"v":1,"events":[]}',
        json.dumps({"v": 1, "n": "1", "events": []}).encode(),
    ],
)
def test_what_is_not_a_block_head_question_or_answer_is_malformed(said: bytes) -> None:
    for decode in (chain.decode_block, chain.decode_head, decode_question, decode_answer):
        with pytest.raises(chain.Malformed):
            decode(said)


@pytest.mark.parametrize(
    "field", ["n", "term", "beat", "first", "last", "as_of", "prev", "sig", "events_root", "kid", "source", "events"]
)
@pytest.mark.parametrize("value", [None, True, 1.5, 2**70, "\ud800", [[]], {}, [["x"] * 5], [[1, 2, 3, 4]]])
def test_no_field_of_an_odd_type_gets_through(field: str, value: object) -> None:
    said = json.loads(chain.encode_block(block(ROWS), ROWS)) | {field: value}
    with pytest.raises((chain.Malformed, chain.Wrong)):
        chain.check_block(*chain.decode_block(json.dumps(said).encode()), chain.Standing(), VERIFIERS)


def test_a_head_is_read_back_and_a_changed_one_is_not_signed() -> None:
    head = chain.seal_head(
        chain.Head(source="330000/card", term=1, beat=7, n=3, hash=b"h" * 32, as_of=5, alg="ES256", kid="2026-1"), KEY
    )
    assert chain.decode_head(chain.encode_head(head)) == head
    assert chain.is_signed_head(head, VERIFIERS)
    assert not chain.is_signed_head(replace(head, as_of=6), VERIFIERS)
    assert not chain.is_signed_head(replace(head, kid="other"), VERIFIERS)


def test_the_largest_block_fits_into_a_message_however_it_is_escaped() -> None:
    control = b"\x01" * (chain.BLOCK_MAX_BYTES - 300)
    rows = [row(1)._replace(body=control)]
    assert len(chain.encode_block(block(rows), rows)) < 1_000_000


def test_a_question_is_read_back() -> None:
    assert decode_question(encode_question(41)) == 41
    for odd in (b'{"after":-1}', b'{"after":true}', b'{"after":"1"}', b'{"after":1' + b" " * 300 + b"}"):
        with pytest.raises(chain.Malformed):
            decode_question(odd)


class TestKeyRotation:
    """A block signed by the old key names the new one; nothing else changes keys."""

    new = PrivateKey.generate("2026-2")
    both = VERIFIERS | {"2026-2": new.public}

    def test_the_announced_key_goes_on(self) -> None:
        announcing = block([], next_kid="2026-2")
        chain.check_block(announcing, [], chain.Standing(), self.both)
        after = chain.Standing().after(announcing)
        next_one = chain.seal(replace(block([], after), kid="2026-2"), self.new)
        chain.check_block(next_one, [], after, self.both)

    def test_a_key_that_was_not_announced_is_refused_though_it_is_mounted(self) -> None:
        after = chain.Standing().after(block([]))
        with pytest.raises(chain.Wrong, match="did not announce"):
            chain.check_block(chain.seal(replace(block([], after), kid="2026-2"), self.new), [], after, self.both)

    def test_the_old_key_signs_no_more_once_the_new_one_is_announced(self) -> None:
        after = chain.Standing().after(block([], next_kid="2026-2"))
        with pytest.raises(chain.Wrong, match="did not announce"):
            chain.check_block(block([], after), [], after, self.both)
