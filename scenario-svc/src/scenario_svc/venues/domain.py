"""Where a card is used: venues, the terminals that stand in them, and the scenarios that they are licensed for.

A scenario is data that its owner writes (scenarios.toml); what it may ask for is exactly the fields of `Scenario`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.errors import Conflict, NotFound, Unprocessable


class ScenarioUnknown(Unprocessable):
    """There is no such scenario in the catalogue."""

    code = "scenario-unknown"


class VenueNotFound(NotFound):
    """There is no such venue."""

    code = "venue-not-found"


class NotATerminal(Conflict):
    """Only an active client of kind terminal can be placed in a venue."""

    code = "not-a-terminal"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One way in which a card is used (用卡场景)."""

    id: str  # "library-entry"
    name_zh: str
    name_en: str
    level: int  # the card's level that it needs: 2 = with a bank account
    charge_max_fen: int | None  # None: nothing is charged
    card_max_age_s: float  # how old the knowledge of a card's state may be before card-svc is asked

    @property
    def charges(self) -> bool:
        """Whether a use costs something."""
        return self.charge_max_fen is not None


Catalogue = Mapping[str, Scenario]


@dataclass(frozen=True, kw_only=True)
class Venue:
    """A place that takes cards: a library, a canteen, a park."""

    id: UUID
    name_zh: str
    name_en: str
    area: str  # GB/T 2260
    scenarios: tuple[str, ...]  # that it is licensed for
    opened_at: datetime


def refuse_unknown_scenarios(scenarios: tuple[str, ...], catalogue: Catalogue) -> None:
    """Raise ScenarioUnknown when a venue is to be licensed for something that does not exist."""
    for scenario in scenarios:
        if scenario not in catalogue:
            raise ScenarioUnknown(f"There is no scenario {scenario!r}.", field="scenarios")
