"""A cursor that we handed out leads on; anything else is refused, whatever it is."""

import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import BadRequest
from chassis.pagination import Place, decode_place, encode_place, page_of

PLACE = Place(datetime(2026, 3, 2, tzinfo=UTC), UUID(int=5))


def test_a_cursor_comes_back_as_the_place_that_it_was() -> None:
    assert decode_place(encode_place(PLACE)) == PLACE
    assert decode_place(None) is None
    assert encode_place(None) is None


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-03-02T00:00:00"])
def test_a_moment_that_no_database_holds_is_refused(moment: str) -> None:
    raw = json.dumps([moment, str(UUID(int=5))]).encode()
    with pytest.raises(BadRequest):
        decode_place(base64.urlsafe_b64encode(raw).decode())


@given(st.text(max_size=80))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        decode_place(text)


def test_a_page_says_where_the_next_begins_only_when_there_is_one() -> None:
    assert page_of([1, 2], 2, lambda _: PLACE).next is None
    page = page_of([1, 2, 3], 2, lambda _: PLACE)
    assert (list(page.items), page.next) == ([1, 2], PLACE)
