"""Citizen numbers: every typing slip that the check character promises to find is found."""

from datetime import date, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.document_number import (
    EARLIEST_BIRTH,
    PROVINCES,
    DocumentNumber,
    DocumentNumberError,
    ImpossibleBirthDate,
    NotEighteenCharacters,
    UnknownArea,
    WrongCheckCharacter,
    check_character,
    parse,
)

TODAY = date(2026, 11, 24)


@st.composite
def numbers(draw: st.DrawFn) -> str:
    area = draw(st.sampled_from(sorted(PROVINCES))) + f"{draw(st.integers(0, 9999)):04}"
    born = draw(st.dates(EARLIEST_BIRTH, TODAY))
    first_17 = f"{area}{born:%Y%m%d}{draw(st.integers(0, 999)):03}"
    return first_17 + check_character(first_17)


@pytest.mark.parametrize("example", ["11010519491231002X", "440524188001010014"])
def test_the_examples_of_the_standard_are_valid(example: str) -> None:
    assert parse(example, TODAY).text == example


@given(numbers())
def test_a_valid_number_tells_area_and_birth(text: str) -> None:
    number = parse(text, TODAY)
    assert number.area == text[:6]
    assert f"{number.birth_date:%Y%m%d}" == text[6:14]


@given(numbers(), st.integers(0, 16), st.integers(1, 9))
def test_one_mistyped_digit_is_always_found(text: str, at: int, step: int) -> None:
    mistyped = text[:at] + str((int(text[at]) + step) % 10) + text[at + 1 :]
    with pytest.raises(DocumentNumberError):
        parse(mistyped, TODAY)


@given(numbers(), st.integers(0, 15))
def test_two_swapped_neighbours_are_always_found(text: str, at: int) -> None:
    assume(text[at] != text[at + 1])
    with pytest.raises(DocumentNumberError):
        parse(text[:at] + text[at + 1] + text[at] + text[at + 2 :], TODAY)


@given(st.text(max_size=30))
def test_anything_else_is_refused_with_one_of_our_errors(text: str) -> None:
    with pytest.raises(DocumentNumberError):
        parse(text, TODAY)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", NotEighteenCharacters),
        ("11010519491231002", NotEighteenCharacters),
        ("11010519491231002XX", NotEighteenCharacters),
        (" 11010519491231002X", NotEighteenCharacters),
        ("11010519491231002X\n", NotEighteenCharacters),
        ("11010519491231002Х", NotEighteenCharacters),  # a Cyrillic letter
        ("１１０１０５194912310021", NotEighteenCharacters),  # full-width digits
        ("01010519491231002X", NotEighteenCharacters),
        ("99010519491231002X", UnknownArea),
        ("11010519490229002X", ImpossibleBirthDate),
        ("11010518791231002X", ImpossibleBirthDate),
        ("110105194912310021", WrongCheckCharacter),
    ],
)
def test_each_fault_has_its_own_error(text: str, error: type[DocumentNumberError]) -> None:
    with pytest.raises(error):
        parse(text, TODAY)


def test_someone_born_today_has_a_number_and_someone_born_tomorrow_has_none() -> None:
    text = "33010220261124001"
    number = text + check_character(text)
    assert parse(number, TODAY).birth_date == TODAY
    with pytest.raises(ImpossibleBirthDate):
        parse(number, TODAY - timedelta(days=1))


def test_a_small_x_is_taken_as_the_check_character() -> None:
    assert parse("11010519491231002x", TODAY) == DocumentNumber("11010519491231002X")


def test_no_message_and_no_printing_shows_the_number() -> None:
    with pytest.raises(WrongCheckCharacter) as refused:
        parse("110105194912310021", TODAY)
    number = parse("11010519491231002X", TODAY)
    for shown in (str(refused.value), str(number), repr(number), f"{number}"):
        assert "19491231" not in shown
    assert number.masked() == "11***************X"


def test_a_check_character_is_computed_for_seventeen_digits_only() -> None:
    for wrong in ("", "1" * 16, "1" * 18, "1" * 16 + "X", "¹" * 17):
        with pytest.raises(NotEighteenCharacters):
            check_character(wrong)
