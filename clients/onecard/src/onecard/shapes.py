"""Reads JSON answers: a field is of the promised kind, or the answer is refused as a whole.

Invariant: text that reaches the terminal carries no control characters, whoever wrote it.
"""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from onecard.failures import Garbage

TEXT_MAX_CHARACTERS = 1_000


def plain(text: str) -> str:
    """Return text as one line that cannot steer a terminal."""
    short = text if len(text) <= TEXT_MAX_CHARACTERS else text[:TEXT_MAX_CHARACTERS] + "…"
    return " ".join("".join(c if c.isprintable() else " " for c in short).split())


class Said:
    """One JSON object of an answer; raises Garbage for a field that is missing or of another kind."""

    def __init__(self, where: str, value: object) -> None:
        self._where = where
        if not isinstance(value, dict):
            self._refuse()
        self._fields: Mapping[str, Any] = value

    @classmethod
    def parse(cls, where: str, body: bytes) -> "Said":
        """Read the body of an answer."""
        try:
            return cls(where, json.loads(body))
        except (ValueError, RecursionError):
            raise Garbage(f"{where} answered with something that is not JSON.") from None

    def text(self, name: str) -> str:
        """Return a text, made harmless."""
        value = self._fields.get(name)
        return plain(value) if isinstance(value, str) else self._refuse(name)

    def as_json(self) -> dict[str, Any]:
        """Return the whole object as it came, for whoever checks it further."""
        return dict(self._fields)

    def secret(self, name: str) -> str:
        """Return a text as it is, for a header and never for the terminal."""
        value = self._fields.get(name)
        fits = isinstance(value, str) and value.isascii() and value.isprintable() and value
        return str(value) if fits else self._refuse(name)

    def text_or_none(self, name: str) -> str | None:
        """Return a text, or None for null and for a field that is not there."""
        return None if self._fields.get(name) is None else self.text(name)

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self._fields.get(name)
        return value if isinstance(value, bool) else self._refuse(name)

    def whole(self, name: str) -> int:
        """Return a whole number."""
        value = self._fields.get(name)
        return value if type(value) is int else self._refuse(name)

    def number(self, name: str) -> float:
        """Return a number."""
        value = self._fields.get(name)
        fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
        return float(value) if fits and value is not None else self._refuse(name)

    def part(self, name: str) -> "Said":
        """Return an object inside this one."""
        return Said(f"{self._where} ({name})", self._fields.get(name))

    def parts(self, name: str) -> list["Said"]:
        """Return a list of objects."""
        value = self._fields.get(name)
        return [Said(f"{self._where} ({name})", item) for item in value] if isinstance(value, list) else self._refuse()

    def named_parts(self, name: str) -> dict[str, "Said"]:
        """Return an object of objects."""
        inside = self.part(name)
        return {plain(key): inside.part(key) for key in inside._fields}

    def texts(self, name: str) -> list[str]:
        """Return a list of texts."""
        value = self._fields.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._refuse(name)
        return [plain(item) for item in value]

    def _refuse(self, name: str = "") -> NoReturn:
        what = f" (`{name}` is not as promised)" if name else ""
        raise Garbage(f"{self._where} answered with something that is not One Card's{what}.")
