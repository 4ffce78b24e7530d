"""What identity-svc tells the others. Pseudonymous: a citizen is an id, never a name, number or phone."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.events.envelope import Event

ClientKind = Literal["channel", "platform", "terminal", "service", "operator"]


class PersonEnrolled(Event):
    """A person proved name, number and phone against the population register (实名)."""

    topic: ClassVar[str] = "identity.person.enrolled.v1"
    key_field: ClassVar[str] = "citizen"

    citizen: UUID
    birth_month: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}$")
    area: str = Field(pattern=r"^[0-9]{6}$")  # of residence, GB/T 2260
    version: int


class _ClientState(Event):
    key_field: ClassVar[str] = "client_id"

    client_id: str
    kind: ClientKind
    status: Literal["active", "suspended"]
    version: int


class ClientRegistered(_ClientState):
    """A client may use the API: a channel, a platform, a terminal, a service or an operator's tool."""

    topic: ClassVar[str] = "identity.client.registered.v1"


class ClientSuspended(_ClientState):
    """A client may no longer use the API."""

    topic: ClassVar[str] = "identity.client.suspended.v1"


class DataShown(Event):
    """Personal data of somebody was shown to someone else than its owner."""

    topic: ClassVar[str] = "identity.data.shown.v1"
    key_field: ClassVar[str] = "citizen"

    citizen: UUID
    fields: tuple[str, ...]  # "name", "document_number", …
    to: str  # service or client that saw it
    purpose: str
    at: datetime
