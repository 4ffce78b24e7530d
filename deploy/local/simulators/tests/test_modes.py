"""Ordered modes end by time or by count, whichever comes first, and then magic values decide again."""

import pytest
from fastapi import HTTPException

from simulators.modes import Faults, Mode


def test_an_order_ends_with_its_time() -> None:
    seconds = 100.0
    faults = Faults("bank", frozenset({Mode.SLOW, Mode.LATE}), lambda: seconds)
    faults.order(Mode.SLOW, for_s=5, count=None)
    assert faults.take(Mode.LATE) is Mode.SLOW
    seconds = 105.0
    assert faults.take(Mode.LATE) is Mode.LATE


def test_without_an_order_the_magic_value_decides() -> None:
    faults = Faults("bank", frozenset({Mode.LATE}))
    assert faults.take() is Mode.NORMAL
    assert faults.take(Mode.LATE) is Mode.LATE
    assert faults.take(Mode.WRONG) is Mode.NORMAL  # this system does not know it


def test_down_is_a_503_before_anything_is_done() -> None:
    with pytest.raises(HTTPException) as refused:
        Faults("bank", frozenset({Mode.DOWN})).take(Mode.DOWN)
    assert refused.value.status_code == 503
