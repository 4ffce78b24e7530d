"""Register, suspend and recognise clients.

Invariant: what a sandbox knows is worth nothing in production: it neither starts with such a client in its database
nor takes such a secret.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.work import Fact, Work, Workshop
from identity_svc.clients.domain import (
    SANDBOX_PREFIX,
    SCOPES_OF_KIND,
    Client,
    ClientKind,
    ClientStatus,
    ClientSuspendsItself,
    SandboxCredentialsRefused,
    Wish,
    register,
    suspend,
)
from identity_svc.clients.events import client_registered, client_suspended
from identity_svc.clients.store import ClientSecrets, ClientStore

FIRST_OPERATOR = "first-operator"

Revoke = Callable[[Work, str], Awaitable[None]]
"""Revokes an id from now on: every token that names it is dead. Whoever makes tokens does it."""


@dataclass(frozen=True, kw_only=True)
class ClientDesk:
    """What registering and suspending need besides the request."""

    secrets: ClientSecrets
    sandbox: bool
    public_host: str
    revoke: Revoke


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """An id and a secret that the operator of a sandbox brings along, so that documents can name them."""

    client_id: str
    client_secret: str


async def register_client(
    desk: ClientDesk, work: Work, wish: Wish, chosen: Chosen | None = None, *, client_id: str | None = None
) -> tuple[Client, str]:
    """Register a client and return it with its secret, which is shown this once.

    Refusals: ScopeNotForKind, RedirectUriRefused, SandboxCredentialsRefused, ClientExists.
    """
    if chosen is not None:
        _check_chosen(desk, chosen)
    client = register(
        wish,
        new_id=work.new_id(),
        client_id=chosen.client_id if chosen else client_id,
        sandbox_host=desk.public_host if desk.sandbox else None,
        now=work.now,
    )
    secret = chosen.client_secret if chosen else desk.secrets.new(sandbox=desk.sandbox)
    await ClientStore(work.session).add(client, desk.secrets.hash(secret), sandbox=secret.startswith(SANDBOX_PREFIX))
    work.emit(client_registered(client))
    work.record(_fact("registered", client))
    return client, secret


async def suspend_client(desk: ClientDesk, work: Work, client_id: str, *, by: str) -> Client:
    """Suspend a client; all its tokens are dead from now on. Refusals: ClientNotFound, ClientSuspendsItself."""
    if client_id == by:
        raise ClientSuspendsItself
    clients = ClientStore(work.session)
    before = await clients.get(client_id)
    client = suspend(before)
    if client != before:
        await clients.save(client)
        await desk.revoke(work, f"client:{client_id}")
        work.emit(client_suspended(client))
        work.record(_fact("suspended", client))
    return client


async def register_first_operator(desk: ClientDesk, work: Work) -> str | None:
    """Register the operator that registers all others, and return its secret; None when that was done before."""
    if await ClientStore(work.session).find(FIRST_OPERATOR) is not None:
        return None
    kind = ClientKind.OPERATOR
    wish = Wish(name="First operator", kind=kind, scopes=tuple(SCOPES_OF_KIND[kind]))
    _, secret = await register_client(desk, work, wish, client_id=FIRST_OPERATOR)
    return secret


async def find_active_client(session: AsyncSession, client_id: str) -> Client | None:
    """Return a client that is not suspended, or None."""
    client = await ClientStore(session).find(client_id)
    return client if client and client.status is ClientStatus.ACTIVE else None


async def authenticate_client(
    session: AsyncSession, secrets: ClientSecrets, client_id: str, secret: str, *, sandbox: bool
) -> Client | None:
    """Return the active client whose secret this is, or None, without saying why."""
    found = await ClientStore(session).find_with_secret(client_id)
    if found is None or not secrets.match(found[1], secret):
        return None
    if secret.startswith(SANDBOX_PREFIX) and not sandbox:
        return None
    return found[0] if found[0].status is ClientStatus.ACTIVE else None


class NothingOfSandbox:
    """A part that lets a production process start only when no client has an id or secret of a sandbox."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def start(self) -> None:
        """Look once; raises SystemExit with one sentence."""
        async with self._workshop.begin() as work:
            found = await ClientStore(work.session).any_of_sandbox()
        if found:
            raise SystemExit(
                f"ONECARD_ENV=production, but the database holds a client whose secret begins with {SANDBOX_PREFIX}."
            )

    async def stop(self) -> None:
        """Nothing runs."""


def _check_chosen(desk: ClientDesk, chosen: Chosen) -> None:
    if not desk.sandbox:
        raise SandboxCredentialsRefused(field="client_secret")
    for field in ("client_id", "client_secret"):
        if not getattr(chosen, field).startswith(SANDBOX_PREFIX):
            raise SandboxCredentialsRefused(field=field)


def _fact(what: str, client: Client) -> Fact:
    details = {"what": what, "kind": client.kind.value, "scopes": list(client.scopes), "version": client.version}
    return Fact(topic="identity.client.changed.v1", key=client.client_id, details=details)
