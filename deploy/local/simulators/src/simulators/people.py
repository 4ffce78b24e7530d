"""The people of the simulated world: the six of the sandbox file, and any number more by rule.

Invariant: nobody here is real. Area codes 330091 to 330099 are given to no county; whoever has a valid citizen number
with area 330099 exists here: name 测试 and the three sequence digits in Chinese numerals, phone 1990 and the digits of
month, day and sequence, residence Hangzhou. 330091 to 330098 are the same with a fault (see README.md).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from contracts.document_number import DocumentNumber, DocumentNumberError, parse
from simulators.modes import Mode

NUMERALS: Final = "零一二三四五六七八九"
RESIDENCE_BY_RULE: Final = "330100"
MODES_BY_AREA: Final[Mapping[str, Mode]] = {
    "330091": Mode.SLOW,
    "330092": Mode.DOWN,
    "330093": Mode.SILENT,
    "330098": Mode.WRONG,
    "330099": Mode.NORMAL,
}


@dataclass(frozen=True)
class Person:
    """Someone whom the population register knows."""

    name: str
    document_number: str
    phone: str
    area: str
    """Where they live now, six digits of GB/T 2260; not where their number was issued."""
    birth_date: date


class People:
    """Finds people by citizen number."""

    def __init__(self, sandbox: Mapping[str, Person], today: date) -> None:
        self._sandbox = dict(sandbox)
        self._today = today

    @classmethod
    def from_file(cls, sandbox: Path, today: date) -> "People":
        """Read the [[person]] entries; ValueError when one has a number that is not valid."""
        entries: list[Mapping[str, Any]] = tomllib.loads(sandbox.read_text(encoding="utf-8"))["person"]
        people = (_person(entry, today) for entry in entries)
        return cls({person.document_number: person for person in people}, today)

    def find(self, document_number: str) -> Person | None:
        """Return who has this number, or None; from the sandbox file first, then by rule."""
        if person := self._sandbox.get(document_number):
            return person
        try:
            number = parse(document_number, self._today)
        except DocumentNumberError:
            return None
        return by_rule(number) if number.area in MODES_BY_AREA else None


def by_rule(number: DocumentNumber) -> Person:
    """Make up the person with this number."""
    name = "测试" + "".join(NUMERALS[int(digit)] for digit in number.text[14:17])
    phone = "1990" + number.text[10:17]
    return Person(name, number.text, phone, RESIDENCE_BY_RULE, number.birth_date)


def magic_mode(document_number: str) -> Mode:
    """The fault that a number's area stands for."""
    return MODES_BY_AREA.get(document_number[:6], Mode.NORMAL)


def _person(entry: Mapping[str, Any], today: date) -> Person:
    number = parse(entry["document_number"], today)
    return Person(entry["name"], number.text, entry["phone"], entry["area"], number.birth_date)
