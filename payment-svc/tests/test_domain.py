"""The declared tables of states, and what every word of the bank makes of every state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.egress import Answer as HttpAnswer
from payment_svc.charges.adapters import SILENCE, Instruction, Kind, read_answer
from payment_svc.charges.domain import (
    ARRIVES_WITHIN,
    NEXT,
    REFUND_NEXT,
    Answer,
    Charge,
    RefundState,
    State,
    StepNotAllowed,
    Word,
    begin_refund,
    heed,
    heed_about_refund,
    hold,
    instruct,
    next_question,
    want_void,
)

NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
WORDS = st.builds(Answer, word=st.sampled_from(Word), refusal=st.just("refused-by-bank"))
CHARGE = Charge(
    charge=UUID(int=1), citizen=UUID(int=2), venue=UUID(int=3), terminal="t", scenario="canteen-meal", amount_fen=1000
)


def told():
    """Return a payment that the bank has just been told of."""
    return instruct(hold(CHARGE, UUID(int=4), now=NOW), now=NOW, answer_by=NOW)


@given(st.lists(WORDS, max_size=12), st.lists(st.integers(0, 100), min_size=12, max_size=12))
def test_only_declared_steps_happen_and_an_end_is_an_end(words, seconds):
    payment, now = told(), NOW
    for word, passed in zip(words, seconds, strict=False):
        now += timedelta(seconds=passed)
        after = heed(payment, word, now=now)
        assert after.state is payment.state or after.state in NEXT[payment.state]
        assert (after.due is None) == (not after.is_open)
        assert after.version == payment.version + (after.state is not payment.state)
        payment = after


@given(st.lists(WORDS, max_size=12))
def test_refunds_stay_bounded_and_end_once(words):
    payment, refund = begin_refund(
        heed(told(), Answer(word=Word.CONFIRMED), now=NOW), uuid4(), 700, instruction=uuid4(), now=NOW, answer_by=NOW
    )
    for word in words:
        payment, after = heed_about_refund(payment, refund, word, now=NOW)
        assert after.state is refund.state or after.state in REFUND_NEXT[refund.state]
        assert payment.refunding_fen == (700 if after.is_open else 0)
        assert payment.refunded_fen == (700 if after.state is RefundState.CONFIRMED else 0)
        refund = after


def test_silence_and_absence_end_nothing():
    for word in (Word.SILENT, Word.NEVER_SEEN):
        assert heed(told(), Answer(word=word), now=NOW + timedelta(days=9)).state is State.UNKNOWN
    assert heed(told(), Answer(word=Word.ACCEPTED), now=NOW).state is State.INSTRUCTED


def test_what_is_to_be_voided_ends_when_the_bank_has_not_seen_it_in_time():
    wanted = want_void(told(), now=NOW)
    absent = Answer(word=Word.NEVER_SEEN)
    just_before = NOW + ARRIVES_WITHIN - timedelta(milliseconds=1)
    assert heed(wanted, absent, now=just_before).state is State.UNKNOWN
    assert heed(wanted, absent, now=NOW + ARRIVES_WITHIN).state is State.VOIDED
    assert heed(wanted, SILENCE, now=NOW + ARRIVES_WITHIN).state is State.UNKNOWN


def test_a_step_outside_the_table_is_a_defect():
    confirmed = heed(told(), Answer(word=Word.CONFIRMED), now=NOW)
    with pytest.raises(StepNotAllowed):
        instruct(confirmed, now=NOW, answer_by=NOW)


def test_the_bank_is_asked_less_and_less_often_but_for_as_long_as_it_takes():
    pauses = [next_question(tries).total_seconds() for tries in range(40)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.3, 60.0)


ABOUT = Instruction(id=UUID(int=4), kind=Kind.DEBIT, account=UUID(int=5), merchant=UUID(int=3), amount_fen=1000)
SAID = {"id": str(ABOUT.id), "kind": "debit", "amount_fen": 1000, "state": "confirmed", "reason": None}


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (HttpAnswer(200, SAID), Word.CONFIRMED),
        (HttpAnswer(200, SAID | {"state": "accepted"}), Word.ACCEPTED),
        (HttpAnswer(200, SAID | {"state": "refused", "reason": "x"}), Word.REFUSED),
        (HttpAnswer(200, SAID | {"id": "somebody-elses"}), Word.SILENT),
        (HttpAnswer(200, SAID | {"amount_fen": 1001}), Word.SILENT),
        (HttpAnswer(200, SAID | {"kind": "refund"}), Word.SILENT),
        (HttpAnswer(200, SAID | {"state": "perhaps"}), Word.SILENT),
        (HttpAnswer(200, ["confirmed"]), Word.SILENT),
        (HttpAnswer(200, None), Word.SILENT),
        (HttpAnswer(409, {"reason": "duplicate-instruction"}), Word.SILENT),
        (HttpAnswer(404, {"reason": "instruction-unknown"}), Word.NEVER_SEEN),
        (HttpAnswer(404, {"detail": "Not Found"}), Word.SILENT),
        (HttpAnswer(404, None), Word.SILENT),
        (HttpAnswer(302, SAID), Word.SILENT),
    ],
)
def test_an_answer_counts_only_when_it_is_about_what_was_asked(answer, word):
    assert read_answer(answer, ABOUT, asked=True).word is word


def test_an_order_that_is_answered_404_is_not_taken_for_absent():
    assert read_answer(HttpAnswer(404, {"reason": "instruction-unknown"}), ABOUT, asked=False).word is Word.SILENT


def test_every_reason_of_the_bank_has_words():
    refused = HttpAnswer(200, SAID | {"state": "refused", "reason": "insufficient-funds"})
    assert read_answer(refused, ABOUT, asked=True).refusal == "insufficient-funds"
    odd = replace(refused, body=SAID | {"state": "refused", "reason": "DROP TABLE"})
    assert read_answer(odd, ABOUT, asked=True).refusal == "refused-by-bank"
