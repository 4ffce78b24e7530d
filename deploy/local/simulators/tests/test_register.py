"""The register tells only whether number, name and phone belong together."""

from collections.abc import Awaitable, Callable
from datetime import date

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.document_number import check_character, parse
from simulators.people import People, by_rule
from simulators.settings import LOCAL

Patiently = Callable[[Awaitable[httpx.Response]], Awaitable[httpx.Response | None]]
ADULT = {"document_number": "330000199001010014", "name": "范例甲", "phone": "19900000001"}
TODAY = date(2026, 11, 24)


def synthetic(area: str, sequence: str = "042") -> dict[str, str]:
    first_17 = f"{area}19800101{sequence}"
    person = by_rule(parse(first_17 + check_character(first_17), TODAY))
    return {"document_number": person.document_number, "name": person.name, "phone": person.phone}


async def test_a_sandbox_person_matches(outside: httpx.AsyncClient) -> None:
    answer = await outside.post("/register/checks", json=ADULT)
    assert answer.json() == {"match": True, "area": "330100", "birth_date": "1990-01-01"}


@pytest.mark.parametrize(
    "change", [{"name": "范例乙"}, {"phone": "19900000009"}, {"document_number": "330000195601010028"}]
)
async def test_of_somebody_who_does_not_match_nothing_is_told(
    outside: httpx.AsyncClient, change: dict[str, str]
) -> None:
    answer = await outside.post("/register/checks", json=ADULT | change)
    assert answer.json() == {"match": False, "area": None, "birth_date": None}


async def test_anyone_with_the_synthetic_area_exists_by_rule(outside: httpx.AsyncClient) -> None:
    person = {"document_number": "33009919800101042", "name": "测试零四二", "phone": "19900101042"}
    person["document_number"] += check_character(person["document_number"])
    assert person == synthetic("330099")
    answer = await outside.post("/register/checks", json=person)
    assert answer.json() == {"match": True, "area": "330100", "birth_date": "1980-01-01"}


@given(st.dates(date(1900, 1, 1), TODAY), st.integers(0, 999))
def test_people_by_rule_are_found_and_have_distinct_phones_within_a_year(born: date, sequence: int) -> None:
    first_17 = f"330099{born:%Y%m%d}{sequence:03}"
    person = People({}, TODAY).find(first_17 + check_character(first_17))
    assert person is not None
    assert person.birth_date == born
    assert person.phone == f"1990{born:%m%d}{sequence:03}"


def test_an_invalid_number_or_another_area_is_nobodys() -> None:
    people = People.from_file(LOCAL / "sandbox.toml", TODAY)
    other_area = "33010219800101042"
    for number in ("330000199001010015", "", "x" * 18, other_area + check_character(other_area)):
        assert people.find(number) is None


async def test_a_slow_register_answers_in_the_end(outside: httpx.AsyncClient, patiently: Patiently) -> None:
    answer = await patiently(outside.post("/register/checks", json=synthetic("330091")))
    assert answer is not None
    assert answer.json()["match"] is True


async def test_a_register_that_is_down_says_503(outside: httpx.AsyncClient) -> None:
    answer = await outside.post("/register/checks", json=synthetic("330092"))
    assert (answer.status_code, answer.json()) == (503, {"reason": "down"})


async def test_a_silent_register_never_answers(outside: httpx.AsyncClient, patiently: Patiently) -> None:
    assert await patiently(outside.post("/register/checks", json=synthetic("330093"))) is None


async def test_a_wrong_register_answers_with_nonsense(outside: httpx.AsyncClient) -> None:
    assert (await outside.post("/register/checks", json=synthetic("330098"))).json() == {"match": "perhaps"}


async def test_a_mode_ordered_by_count_ends_after_so_many_requests(outside: httpx.AsyncClient) -> None:
    ordered = await outside.post("/register/mode", json={"mode": "down", "count": 2})
    assert ordered.json()["mode"] == "down"
    answers = [(await outside.post("/register/checks", json=ADULT)).status_code for _ in range(3)]
    assert answers == [503, 503, 200]


async def test_a_mode_can_be_cleared_and_an_unknown_one_is_refused(outside: httpx.AsyncClient) -> None:
    await outside.post("/register/mode", json={"mode": "down", "for_s": 100})
    assert (await outside.post("/register/checks", json=ADULT)).status_code == 503
    await outside.delete("/register/mode")
    assert (await outside.post("/register/checks", json=ADULT)).status_code == 200
    refused = await outside.post("/register/mode", json={"mode": "late"})
    assert refused.status_code == 422
    assert "slow" in refused.json()["known"]


async def test_a_question_with_odd_fields_is_refused(outside: httpx.AsyncClient) -> None:
    assert (await outside.post("/register/checks", json=ADULT | {"photo": ""})).status_code == 422
