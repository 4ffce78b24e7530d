"""How sure we are of a person, from weak to strong, and which scopes a person or a client alone can have.

Invariant: assurance and scope are compared here only, and what cannot be compared is never the stronger.
"""

from collections.abc import Iterable
from typing import Final

from identity_svc.clients.domain import SCOPES_OF_KIND, ClientKind

CLIENT: Final = "urn:onecard:acr:client"
"""No person at all: a client for itself."""
REAL_NAME: Final = "urn:onecard:acr:real-name"
"""Number, name and registered phone were checked against the population register (实名), and a code came back."""
REAL_PERSON: Final = "urn:onecard:acr:real-person"
"""A face check on top of it (实人)."""

OF_PERSONS: Final = (REAL_NAME, REAL_PERSON)
_WEAK_TO_STRONG: Final = (CLIENT, *OF_PERSONS)

PERSON_SCOPES: Final = SCOPES_OF_KIND[ClientKind.CHANNEL]
"""What a citizen lets a channel do; every other scope belongs to a client itself."""


def reaches(acr: str, wanted: str) -> bool:
    """Whether `acr` is at least as strong as `wanted`; False for anything unknown."""
    if acr not in _WEAK_TO_STRONG or wanted not in _WEAK_TO_STRONG:
        return False
    return _WEAK_TO_STRONG.index(acr) >= _WEAK_TO_STRONG.index(wanted)


def wanted_assurance(acr_values: Iterable[str]) -> str:
    """Return the first value that we know, in the caller's order of preference (OIDC Core section 3.1.2.1).

    The last part of the name alone will do; without a known value it is real-name.
    """
    by_name = {acr.rpartition(":")[2]: acr for acr in OF_PERSONS}
    for value in acr_values:
        if value in OF_PERSONS:
            return value
        if value in by_name:
            return by_name[value]
    return REAL_NAME
