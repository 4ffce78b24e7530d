"""Opening venues and placing terminals in them."""

from uuid import UUID

from chassis.work import Fact, Work
from scenario_svc.venues.domain import Catalogue, NotATerminal, Venue, refuse_unknown_scenarios
from scenario_svc.venues.store import KnownClients, VenueStore


async def open_venue(
    work: Work, catalogue: Catalogue, *, name_zh: str, name_en: str, area: str, scenarios: tuple[str, ...]
) -> Venue:
    """Open a venue that is licensed for `scenarios`; raises ScenarioUnknown."""
    refuse_unknown_scenarios(scenarios, catalogue)
    venue = Venue(
        id=work.new_id(), name_zh=name_zh, name_en=name_en, area=area, scenarios=scenarios, opened_at=work.now
    )
    await VenueStore(work.session).add(venue)
    work.record(Fact(topic="scenario.venue.opened.v1", key=str(venue.id), details={"scenarios": list(scenarios)}))
    return venue


async def place_terminal(work: Work, venue_id: UUID, client: str) -> Venue:
    """Put a terminal into a venue, or move it there; raises VenueNotFound and NotATerminal."""
    venues = VenueStore(work.session)
    venue = await venues.read(venue_id)
    if not await KnownClients(work.session).is_terminal(client):
        raise NotATerminal(field="client_id")
    await venues.place(client, venue_id, work.now)
    work.record(Fact(topic="scenario.terminal.placed.v1", key=client, details={"venue": str(venue_id)}))
    return venue
