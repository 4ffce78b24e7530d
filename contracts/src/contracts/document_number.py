"""The citizen number (公民身份号码) of GB 11643-1999: 17 digits and a check character that tell area, birth and sex.

Invariant: a `DocumentNumber` that exists is well formed, with a right check character and a birth date that was.
Standard library only. That a number is valid says nothing of whether anyone has it; the population register knows.
"""

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Final

_FORM = re.compile(r"[1-9][0-9]{16}[0-9X]", re.ASCII)
_CHECK_CHARACTERS: Final = "10X98765432"
EARLIEST_BIRTH: Final = date(1880, 1, 1)
"""Nobody born before this is alive; an older date is a typing error."""
# fmt: off
PROVINCES: Final = frozenset((
    "11", "12", "13", "14", "15",
    "21", "22", "23",
    "31", "32", "33", "34", "35", "36", "37",
    "41", "42", "43", "44", "45", "46",
    "50", "51", "52", "53", "54",
    "61", "62", "63", "64", "65",
    "71", "81", "82", "83",
))
# fmt: on
"""First two digits in GB/T 2260; 83 is in residence permits of Taiwan residents."""


class DocumentNumberError(ValueError):
    """The citizen number is not valid."""

    def __init__(self) -> None:
        # The number itself stays out of the message: messages are logged.
        super().__init__((type(self).__doc__ or "").strip())


class NotEighteenCharacters(DocumentNumberError):
    """A citizen number has 17 digits and then a digit or X, and does not begin with 0."""


class UnknownArea(DocumentNumberError):
    """The first two digits are not those of a province."""


class ImpossibleBirthDate(DocumentNumberError):
    """Digits 7 to 14 are not a day of the calendar on which a living person can have been born."""


class WrongCheckCharacter(DocumentNumberError):
    """The last character does not fit the others: a digit was mistyped or two were swapped."""


@dataclass(frozen=True, order=True)
class DocumentNumber:
    """A valid citizen number; make one with `parse`. Printing it shows it masked."""

    text: str = field(repr=False)

    @property
    def area(self) -> str:
        """Six digits of GB/T 2260: where the person was registered on the day of issue, not where they live now."""
        return self.text[:6]

    @property
    def birth_date(self) -> date:
        """The birth date in the number."""
        return date(int(self.text[6:10]), int(self.text[10:12]), int(self.text[12:14]))

    def masked(self) -> str:
        """Area's province and last character only, as may be shown and logged."""
        return self.text[:2] + "*" * 15 + self.text[17:]

    def __str__(self) -> str:
        return self.masked()


def parse(text: str, today: date) -> DocumentNumber:
    """Read a citizen number as typed (a final x is taken as X); `today` is the business day in Asia/Shanghai.

    Raises NotEighteenCharacters, UnknownArea, ImpossibleBirthDate or WrongCheckCharacter, in this order of looking.
    """
    number = text[:17] + text[17:].replace("x", "X")
    if not _FORM.fullmatch(number):
        raise NotEighteenCharacters
    if number[:2] not in PROVINCES:
        raise UnknownArea
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        raise ImpossibleBirthDate from None
    if not EARLIEST_BIRTH <= born <= today:
        raise ImpossibleBirthDate
    if check_character(number[:17]) != number[17]:
        raise WrongCheckCharacter
    return DocumentNumber(number)


def check_character(first_17_digits: str) -> str:
    """Compute the 18th character by ISO 7064 MOD 11-2."""
    if len(first_17_digits) != 17 or not (first_17_digits.isascii() and first_17_digits.isdigit()):
        raise NotEighteenCharacters
    weighted = sum(int(digit) * pow(2, 17 - position, 11) for position, digit in enumerate(first_17_digits))
    return _CHECK_CHARACTERS[weighted % 11]
