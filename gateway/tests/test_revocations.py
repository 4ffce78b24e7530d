"""The copy of the revocation list, with a clock of the test's own."""

from typing import Any

import pytest

from gateway.revocations import KEEP_MS, OVERLAP_S, RevocationCopy
from gateway.tokens import Verified


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def entry(number: int, name: str = "x", not_before_ms: int = 10) -> dict[str, Any]:
    return {"id": name, "not_before_ms": not_before_ms, "n": number}


def token(*named: tuple[str, int]) -> Verified:
    return Verified(
        citizen=None,
        acting=None,
        client="c",
        kind="terminal",
        scopes=frozenset(),
        acr="",
        rank=1,
        jti="j",
        expires_s=0,
        named=named,
        person="",
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def copy(clock: Clock) -> RevocationCopy:
    return RevocationCopy(clock, clock)


def test_the_first_question_asks_for_everything(copy: RevocationCopy) -> None:
    assert copy.after() == 0
    assert not copy.loaded
    assert copy.age_s() == float("inf")


def test_age_counts_from_the_question_not_from_the_answer(copy: RevocationCopy, clock: Clock) -> None:
    asked_s = clock.now_s
    clock.now_s += 0.8
    copy.complete(asked_s)

    assert copy.age_s() == pytest.approx(0.8)


def test_numbers_are_asked_for_again_for_a_while(copy: RevocationCopy, clock: Clock) -> None:
    copy.take([entry(7)])
    copy.complete(clock.now_s)
    assert copy.after() == 0
    clock.now_s += OVERLAP_S + 1
    copy.take([entry(9)])
    copy.complete(clock.now_s)

    assert copy.after() == 7, "what was numbered 8 and committed late must still be seen"


def test_an_outage_does_not_shorten_the_overlap(copy: RevocationCopy, clock: Clock) -> None:
    copy.take([entry(7)])
    copy.complete(clock.now_s)
    clock.now_s += OVERLAP_S
    copy.take([entry(9)])
    copy.complete(clock.now_s)
    clock.now_s += 100 * OVERLAP_S

    assert copy.after() == 7


def test_a_token_is_dead_only_when_issued_before_the_moment(copy: RevocationCopy) -> None:
    copy.take([entry(1, "j", 50)])

    assert copy.kills(token(("j", 49)))
    assert not copy.kills(token(("j", 50)))
    assert not copy.kills(token(("other", 1)))


def test_a_token_that_was_found_alive_is_compared_again_when_the_list_grows(copy: RevocationCopy) -> None:
    alive = token(("j", 49))
    assert not copy.kills(alive)

    copy.take([entry(1, "j", 50)])

    assert copy.kills(alive)


def test_a_later_entry_never_weakens_an_earlier_one(copy: RevocationCopy) -> None:
    copy.take([entry(1, "j", 50), entry(2, "j", 20)])

    assert copy.kills(token(("j", 49)))


def test_what_no_living_token_can_be_older_than_is_forgotten(copy: RevocationCopy, clock: Clock) -> None:
    now_ms = int(clock.now_s * 1000)
    copy.take([entry(1, "old", now_ms - KEEP_MS - 1), entry(2, "new", now_ms)])

    copy.forget_outlived()

    assert len(copy) == 1


@pytest.mark.parametrize("broken", [{"id": "x"}, entry(1) | {"n": "1"}, entry(1) | {"not_before_ms": 1.5}])
def test_a_list_that_is_none_is_refused(copy: RevocationCopy, broken: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        copy.take([broken])
