"""The tables of venues, terminals and known clients, and the only SQL that touches them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pagination import Page, Place, page_of
from contracts.events.identity import ClientRegistered, ClientSuspended
from scenario_svc.venues.domain import Venue, VenueNotFound

_COLUMNS = "venue.id, venue.name_zh, venue.name_en, venue.area, venue.scenarios, venue.opened_at"
_INSERT = text(
    "INSERT INTO venue (id, name_zh, name_en, area, scenarios, opened_at)"
    " VALUES (:id, :name_zh, :name_en, :area, :scenarios, :opened_at)"
)
_READ = text(f"SELECT {_COLUMNS} FROM venue WHERE id = :id")
_LIST = text(
    f"SELECT {_COLUMNS} FROM venue WHERE CAST(:moment AS timestamptz) IS NULL OR (opened_at, id) < (:moment, :id)"
    " ORDER BY opened_at DESC, id DESC LIMIT :limit"
)
_OF_TERMINAL = text(
    f"SELECT {_COLUMNS} FROM terminal JOIN venue ON venue.id = terminal.venue"
    " JOIN known_client ON known_client.client = terminal.client"
    " WHERE terminal.client = :client AND known_client.status = 'active'"
)
_PLACE = text(
    "INSERT INTO terminal (client, venue, placed_at) VALUES (:client, :venue, :now)"
    " ON CONFLICT (client) DO UPDATE SET venue = excluded.venue, placed_at = excluded.placed_at"
)
_IS_TERMINAL = text("SELECT 1 FROM known_client WHERE client = :client AND kind = 'terminal' AND status = 'active'")
_KNOW = text(
    "INSERT INTO known_client (client, kind, status, version) VALUES (:client, :kind, :status, :version)"
    " ON CONFLICT (client) DO UPDATE SET kind = excluded.kind, status = excluded.status, version = excluded.version"
    " WHERE known_client.version < excluded.version"
)


class VenueStore:
    """Venues and the terminals in them."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, venue: Venue) -> None:
        """Insert a venue."""
        await self._session.execute(
            _INSERT,
            {
                "id": venue.id,
                "name_zh": venue.name_zh,
                "name_en": venue.name_en,
                "area": venue.area,
                "scenarios": list(venue.scenarios),
                "opened_at": venue.opened_at,
            },
        )

    async def read(self, venue_id: UUID) -> Venue:
        """Return a venue; raises VenueNotFound."""
        row = (await self._session.execute(_READ, {"id": venue_id})).one_or_none()
        if row is None:
            raise VenueNotFound
        return _venue(row)

    async def list_newest(self, after: Place | None, limit: int) -> Page[Venue]:
        """Return a page of venues, newest first."""
        names = {"moment": after.moment if after else None, "id": after.id if after else None, "limit": limit + 1}
        rows = [_venue(row) for row in await self._session.execute(_LIST, names)]
        return page_of(rows, limit, lambda venue: Place(venue.opened_at, venue.id))

    async def of_terminal(self, client: str) -> Venue | None:
        """Return the venue where an active terminal stands, or None."""
        row = (await self._session.execute(_OF_TERMINAL, {"client": client})).one_or_none()
        return _venue(row) if row else None

    async def place(self, client: str, venue_id: UUID, now: datetime) -> None:
        """Put a terminal into a venue, or move it there."""
        await self._session.execute(_PLACE, {"client": client, "venue": venue_id, "now": now})


class KnownClients:
    """What this service knows of identity-svc's clients."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def is_terminal(self, client: str) -> bool:
        """Whether a client is an active terminal."""
        return await self._session.scalar(_IS_TERMINAL, {"client": client}) is not None

    async def know(self, clients: Sequence[ClientRegistered | ClientSuspended]) -> None:
        """Keep the newest version of each client."""
        for client in clients:
            names = {
                "client": client.client_id,
                "kind": client.kind,
                "status": client.status,
                "version": client.version,
            }
            await self._session.execute(_KNOW, names)


def _venue(row: Row[Any]) -> Venue:
    return Venue(
        id=row.id,
        name_zh=row.name_zh,
        name_en=row.name_en,
        area=row.area,
        scenarios=tuple(row.scenarios),
        opened_at=row.opened_at,
    )
