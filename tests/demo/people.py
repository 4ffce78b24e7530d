"""A synthetic citizen who has never been here: valid number, invented name, known to the register by its rule."""

import random
from datetime import date, timedelta

from contracts.document_number import check_character
from onecard_local.callers import Person

NUMERALS = "零一二三四五六七八九"
AREA = "330099"  # given to nobody: the register simulator knows everyone there by rule


def fresh_person(chance: random.Random) -> Person:
    """Return somebody new (deploy/local/simulators/README.md gives the rule)."""
    born = date(1960, 1, 1) + timedelta(days=chance.randrange(15_000))
    sequence = f"{chance.randrange(1000):03}"
    digits = f"{AREA}{born:%Y%m%d}{sequence}"
    name = "测试" + "".join(NUMERALS[int(digit)] for digit in sequence)
    return Person(name=name, document_number=digits + check_character(digits), phone=f"1990{digits[10:]}")
