"""The gates that the page can be, and the credentials of each, which the operator's registration left in a file.

Invariant: credentials are read when they are needed and never shown; a file that is not there yet is no error of ours.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Gate:
    """One terminal at one venue."""

    key: str
    scenario: str
    zh: str
    en: str
    charges: bool


GATES = {
    gate.key: gate
    for gate in (
        Gate("library-gate", "library-entry", "范例图书馆入口", "Example library, entrance", charges=False),
        Gate("canteen-terminal", "canteen-meal", "范例食堂收银", "Example canteen, till", charges=True),
    )
}
"""By key of the client in sandbox.toml."""


@dataclass(frozen=True)
class Credentials:
    """How a terminal signs in."""

    client_id: str
    client_secret: str = field(repr=False)


class NotRegistered(Exception):
    """This gate has not been registered with the platform yet."""


def read_credentials(folder: Path | None, key: str) -> Credentials:
    """Read <folder>/<key>.json; NotRegistered when it is not there or holds no credentials."""
    if folder is None:
        raise NotRegistered
    try:
        content = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        return Credentials(content["client_id"], content["client_secret"])
    except (OSError, ValueError, KeyError, TypeError):
        raise NotRegistered from None
