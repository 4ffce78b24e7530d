"""The routes of the registry of clients, for operators."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from chassis.errors import BadRequest
from chassis.idempotency import once
from chassis.pagination import MAX_PAGE, decode_place, encode_place
from chassis.web.guard import Keyed, TheCaller
from chassis.web.models import ListModel, RequestModel, ResponseModel
from chassis.web.work import TheWork
from identity_svc.clients import use_cases
from identity_svc.clients.domain import Client, ClientKind, ClientNotFound, ClientStatus, Wish
from identity_svc.clients.store import ClientStore
from identity_svc.clients.use_cases import Chosen, ClientDesk

router = APIRouter(tags=["clients"])

LIST_MAX = 20

Uri = Annotated[str, Field(min_length=8, max_length=500)]
Scope = Annotated[str, Field(pattern=r"^[a-z][a-z.]{0,39}$")]
ClientIdInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Audience = Annotated[str, Field(pattern=r"^https://[!-~]{1,200}$")]


class RegisterClient(RequestModel):
    """A client to be registered."""

    name: str = Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")
    kind: ClientKind
    redirect_uris: list[Uri] = Field([], max_length=LIST_MAX, description="Compared letter by letter; https.")
    scopes: list[Scope] = Field([], max_length=LIST_MAX)
    sector: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$",
        description="Clients of one sector know a citizen by the same subject; a sector of its own unless said.",
    )
    audiences: list[Audience] = Field([], max_length=LIST_MAX, description="Of its own API, to take tokens in for.")
    client_id: str | None = Field(None, pattern=r"^sbx_[A-Za-z0-9_-]{1,60}$", description="In a sandbox only.")
    client_secret: str | None = Field(None, pattern=r"^sbx_[A-Za-z0-9_-]{16,124}$", description="In a sandbox only.")


class ClientModel(ResponseModel):
    """A registered client."""

    client_id: str
    name: str
    kind: ClientKind
    redirect_uris: list[str]
    scopes: list[str]
    sector: str
    audiences: list[str]
    status: ClientStatus
    version: int
    created_at: datetime


class RegisteredClient(ClientModel):
    """A client that has just been registered."""

    client_secret: str | None = Field(description="Shown this once; null when the request is repeated.")


def desk_of(request: Request) -> ClientDesk:
    """Return what registering needs."""
    desk: ClientDesk = request.app.state.client_desk
    return desk


TheDesk = Annotated[ClientDesk, Depends(desk_of)]


def _values(client: Client) -> dict[str, object]:
    return {name: getattr(client, name) for name in ClientModel.model_fields}


@router.post("/v1/clients", operation_id="identity.register_client", status_code=201)
async def register_client(body: RegisterClient, work: TheWork, request: Keyed, desk: TheDesk) -> RegisteredClient:
    """Register a client; its secret is shown in this answer and never again."""
    chosen = None
    if body.client_id or body.client_secret:
        if not (body.client_id and body.client_secret):
            raise BadRequest("An id and a secret are chosen together.", field="client_id")
        chosen = Chosen(client_id=body.client_id, client_secret=body.client_secret)
    wish = Wish(
        name=body.name.strip(),
        kind=body.kind,
        redirect_uris=tuple(body.redirect_uris),
        scopes=tuple(body.scopes),
        sector=body.sector,
        audiences=tuple(body.audiences),
    )

    async def create() -> tuple[UUID, tuple[Client, str | None]]:
        client, secret = await use_cases.register_client(desk, work, wish, chosen)
        return client.id, (client, secret)

    async def read(known: UUID) -> tuple[Client, str | None]:
        return await ClientStore(work.session).read(known), None

    client, secret = await once(work, request, create, read)
    return RegisteredClient.model_validate(_values(client) | {"client_secret": secret})


@router.get("/v1/clients", operation_id="identity.list_clients")
async def list_clients(
    work: TheWork,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> ListModel[ClientModel]:
    """List clients, newest first."""
    page = await ClientStore(work.session).list(decode_place(cursor), limit)
    items = [ClientModel.model_validate(_values(client)) for client in page.items]
    return ListModel[ClientModel](items=items, next=encode_place(page.next))


@router.get("/v1/clients/{client}", operation_id="identity.read_client")
async def read_client(client: ClientIdInPath, work: TheWork) -> ClientModel:
    """Read a client; its secret is never shown."""
    found = await ClientStore(work.session).find(client)
    if found is None:
        raise ClientNotFound
    return ClientModel.model_validate(_values(found))


@router.post("/v1/clients/{client}/suspension", operation_id="identity.suspend_client")
async def suspend_client(
    client: ClientIdInPath, work: TheWork, caller: TheCaller, request: Keyed, desk: TheDesk
) -> ClientModel:
    """Suspend a client; within a second none of its tokens opens anything."""

    async def create() -> tuple[UUID, Client]:
        suspended = await use_cases.suspend_client(desk, work, client, by=caller.client)
        return suspended.id, suspended

    suspended = await once(work, request, create, ClientStore(work.session).read)
    return ClientModel.model_validate(_values(suspended))
