"""Every refusal has words in the catalogue, and every entry of the catalogue a refusal."""

import ast
import re
from pathlib import Path

import pytest
from refusals import (
    Declared,
    refusals,
    refusals_without_words,
    shipped_sources,
    texts_in,
    words_without_refusal,
)

from contracts.problems.catalogue import CATALOGUE
from contracts.problems.problem import Problem

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sources() -> list[tuple[str, ast.Module]]:
    """The shipped code."""
    return list(shipped_sources(ROOT))


def test_every_refusal_has_words(sources: list[tuple[str, ast.Module]]) -> None:
    assert refusals_without_words(refusals(sources), CATALOGUE) == []


def test_every_entry_has_a_refusal(sources: list[tuple[str, ast.Module]]) -> None:
    assert words_without_refusal(texts_in(sources), CATALOGUE) == []


def test_every_entry_speaks_both_languages() -> None:
    for problem in CATALOGUE.values():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", problem.code)
        assert re.search(r"[\u4e00-\u9fff]", problem.show_zh), problem.code
        assert re.search(r"[A-Za-z]{2}", problem.show_en), problem.code
        assert problem.cause.endswith("."), problem.code
        assert 400 <= problem.status < 600


# From here on: each of the rules bites.

CODE = '''
from chassis.errors import Conflict, Refusal

class CardNotActive(Conflict):
    """Only an active card can be reported lost."""
    code = "card-not-active"

class CardLocked(CardNotActive):
    """It is locked."""
    code: str = "card-locked"

class Odd(Refusal):
    """Neither this nor that."""
    code = "o" + "dd"

class StillInherits(Conflict):
    """Has the words of its base."""

class Other:
    code = "not-a-refusal"
'''


def entry(code: str, status: int) -> Problem:
    """An entry of a catalogue."""
    return Problem(
        code=code, status=status, cause="C.", show_zh="中", show_en="E", who_acts="caller", safe_to_retry=False
    )


def test_refusals_are_found_with_the_status_of_their_base() -> None:
    found = {(r.name, r.code, r.status) for r in refusals([("domain.py", ast.parse(CODE))])}
    assert found == {
        ("CardNotActive", "card-not-active", 409),
        ("CardLocked", "card-locked", 409),
        ("Odd", None, None),
    }


def test_the_real_tree_of_errors_is_followed(sources: list[tuple[str, ast.Module]]) -> None:
    found = {r.name: r.status for r in refusals(sources)}
    assert found["NotFound"] == 404
    assert found["StillRunning"] == 409


REFUSAL = Declared(name="CardNotActive", code="card-not-active", status=409, place="domain.py:3")


def test_a_refusal_without_an_entry_is_refused() -> None:
    assert refusals_without_words([REFUSAL], {"card-not-active": entry("card-not-active", 409)}) == []
    assert refusals_without_words([REFUSAL], {}) != []


def test_a_refusal_of_another_status_is_refused() -> None:
    assert refusals_without_words([REFUSAL], {"card-not-active": entry("card-not-active", 422)}) != []


def test_a_computed_code_is_refused() -> None:
    computed = Declared(name="Odd", code=None, status=None, place="domain.py:9")
    assert refusals_without_words([computed], {}) != []


def test_an_entry_that_nothing_answers_with_is_refused() -> None:
    texts = texts_in([("card-svc/src/card_svc/domain.py", ast.parse(CODE))])
    assert words_without_refusal(texts, {"card-not-active": entry("card-not-active", 409)}) == []
    assert words_without_refusal(texts, {"card-forgotten": entry("card-forgotten", 409)}) != []
    in_the_catalogue = texts_in([("contracts/src/contracts/problems/card.py", ast.parse('CODE = "card-forgotten"'))])
    assert words_without_refusal(in_the_catalogue, {"card-forgotten": entry("card-forgotten", 409)}) != []
