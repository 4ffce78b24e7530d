"""The routes of the catalogue of scenarios, of venues and of terminals."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from chassis.idempotency import once
from chassis.pagination import MAX_PAGE, decode_place, encode_place
from chassis.web.guard import Keyed
from chassis.web.models import ListModel, RequestModel, ResponseModel, Words
from chassis.web.work import TheWork
from scenario_svc.venues.domain import Catalogue, Venue
from scenario_svc.venues.store import VenueStore
from scenario_svc.venues.use_cases import open_venue, place_terminal

router = APIRouter(tags=["venues"])


class Name(RequestModel):
    """A name in both languages."""

    zh: str = Field(min_length=1, max_length=100)
    en: str = Field(min_length=1, max_length=100)


class OpenVenue(RequestModel):
    """A place that is to take cards."""

    name: Name
    area: str = Field(pattern=r"^[0-9]{6}$", description="GB/T 2260 code of the place.")
    scenarios: list[str] = Field(min_length=1, max_length=50)


class PlaceTerminal(RequestModel):
    """Which terminal stands there."""

    client_id: str = Field(min_length=1, max_length=100)


class ScenarioModel(ResponseModel):
    """A way in which a card is used (用卡场景)."""

    scenario: str
    name: Words
    level: int = Field(description="The card's level that it needs.")
    charge_max_fen: int | None = Field(description="The most that one use may cost; null where nothing is charged.")


class VenueModel(ResponseModel):
    """A place that takes cards."""

    venue: UUID
    name: Words
    area: str
    scenarios: list[str]
    opened_at: datetime


class TerminalModel(ResponseModel):
    """A terminal and where it stands."""

    client_id: str
    venue: UUID


def catalogue_of(request: Request) -> Catalogue:
    """Return the catalogue of scenarios."""
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


TheCatalogue = Annotated[Catalogue, Depends(catalogue_of)]


def _model(venue: Venue) -> VenueModel:
    return VenueModel(
        venue=venue.id,
        name=Words(zh=venue.name_zh, en=venue.name_en),
        area=venue.area,
        scenarios=list(venue.scenarios),
        opened_at=venue.opened_at,
    )


@router.get("/v1/scenarios", operation_id="scenario.list_scenarios")
async def list_scenarios(catalogue: TheCatalogue) -> ListModel[ScenarioModel]:
    """List the ways in which a card can be used in this cell."""
    return ListModel[ScenarioModel](
        items=[
            ScenarioModel(
                scenario=scenario.id,
                name=Words(zh=scenario.name_zh, en=scenario.name_en),
                level=scenario.level,
                charge_max_fen=scenario.charge_max_fen,
            )
            for scenario in catalogue.values()
        ]
    )


@router.post("/v1/venues", operation_id="scenario.open_venue", status_code=201)
async def open_a_venue(body: OpenVenue, work: TheWork, request: Keyed, catalogue: TheCatalogue) -> VenueModel:
    """Open a venue."""

    async def create() -> tuple[UUID, Venue]:
        venue = await open_venue(
            work,
            catalogue,
            name_zh=body.name.zh,
            name_en=body.name.en,
            area=body.area,
            scenarios=tuple(dict.fromkeys(body.scenarios)),
        )
        return venue.id, venue

    return _model(await once(work, request, create, VenueStore(work.session).read))


@router.get("/v1/venues", operation_id="scenario.list_venues")
async def list_venues(
    work: TheWork,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> ListModel[VenueModel]:
    """List venues, newest first."""
    page = await VenueStore(work.session).list_newest(decode_place(cursor), limit)
    return ListModel[VenueModel](items=[_model(venue) for venue in page.items], next=encode_place(page.next))


@router.post("/v1/venues/{venue}/terminals", operation_id="scenario.place_terminal", status_code=201)
async def place_a_terminal(venue: UUID, body: PlaceTerminal, work: TheWork, request: Keyed) -> TerminalModel:
    """Put a terminal into a venue, or move it there."""

    async def create() -> tuple[UUID, Venue]:
        placed = await place_terminal(work, venue, body.client_id)
        return placed.id, placed

    placed = await once(work, request, create, VenueStore(work.session).read)
    return TerminalModel(client_id=body.client_id, venue=placed.id)
