"""Registered clients (channels, platforms, terminals, services, operators' tools) and what each kind may have: rules.

Invariant: a client never holds a scope that its kind is not meant for, and a citizen is sent back only to an address
that was registered letter by letter.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from chassis.errors import Conflict, NotFound, Unprocessable

SANDBOX_PREFIX: Final = "sbx_"
"""What stands before every id or secret that may be known to anybody; production takes none of them."""
CLIENT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class ClientKind(StrEnum):
    """What a client is; see SCOPES_OF_KIND for what follows from it."""

    CHANNEL = "channel"  # a mini-program's or app's backend (渠道)
    PLATFORM = "platform"  # a government platform that signs citizens in, or takes tokens in for its own API
    TERMINAL = "terminal"  # a gate, a till
    SERVICE = "service"  # a service hall, a machine of the province
    OPERATOR = "operator"  # who runs the cell


_CITIZEN: Final = frozenset({"openid", "profile", "card", "card.code", "card.loss", "use", "payments"})
SCOPES_OF_KIND: Final[Mapping[ClientKind, frozenset[str]]] = {
    ClientKind.CHANNEL: _CITIZEN,
    ClientKind.PLATFORM: _CITIZEN | {"introspect"},
    ClientKind.TERMINAL: frozenset({"terminal"}),
    ClientKind.SERVICE: frozenset({"cards.produce", "cards.handover", "introspect", "ledger.read"}),
    ClientKind.OPERATOR: frozenset(
        {
            "clients.manage",
            "policies.manage",
            "venues.manage",
            "cards.produce",
            "cards.handover",
            "journal.read",
            "journal.manage",
            "ledger.read",
        }
    ),
}
"""The one table of who may be given what; whoever is not written down here cannot get it from any operator."""
KINDS_WITH_CITIZENS: Final = frozenset({ClientKind.CHANNEL, ClientKind.PLATFORM})


class ClientStatus(StrEnum):
    """A suspended client is as good as unknown."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class ClientNotFound(NotFound):
    """There is no such client."""

    code = "client-not-found"


class ClientExists(Conflict):
    """A client with this id is registered already."""

    code = "client-exists"


class ClientSuspendsItself(Conflict):
    """A client cannot suspend itself: nobody might be left to undo it."""

    code = "client-suspends-itself"


class ScopeNotForKind(Unprocessable):
    """A scope was asked for that this kind of client is never given."""

    code = "scope-not-for-kind"


class RedirectUriRefused(Unprocessable):
    """A redirect address must be absolute, https or on the own machine, and for a kind that citizens come through."""

    code = "redirect-uri-refused"


class SandboxCredentialsRefused(Unprocessable):
    """An id and a secret may be chosen only in a sandbox, and only with the sandbox prefix."""

    code = "sandbox-credentials-refused"


@dataclass(frozen=True, kw_only=True)
class Client:
    """A registered client; its secret is known to it alone."""

    id: UUID
    client_id: str
    name: str
    kind: ClientKind
    redirect_uris: tuple[str, ...]  # compared letter by letter
    scopes: tuple[str, ...]
    sector: str  # clients of one sector know a citizen by the same pairwise subject
    audiences: tuple[str, ...]  # of its own API, for which it takes tokens in
    status: ClientStatus
    version: int
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What an operator wants to have registered."""

    name: str
    kind: ClientKind
    redirect_uris: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    sector: str | None = None
    audiences: tuple[str, ...] = ()


def register(wish: Wish, *, new_id: UUID, client_id: str | None, sandbox_host: str | None, now: datetime) -> Client:
    """Return the new client. Refusals: ScopeNotForKind, RedirectUriRefused.

    `sandbox_host` is the host of the public URL in a sandbox, where a phone reaches the pages without https.
    """
    for number, scope in enumerate(wish.scopes):
        if scope not in SCOPES_OF_KIND[wish.kind]:
            raise ScopeNotForKind(f"A {wish.kind} is never given this scope.", field=f"scopes.{number}")
    if wish.redirect_uris and wish.kind not in KINDS_WITH_CITIZENS:
        raise RedirectUriRefused(f"No citizen comes through a {wish.kind}.", field="redirect_uris")
    for number, uri in enumerate(wish.redirect_uris):
        if not _may_be_sent_to(uri, sandbox_host):
            raise RedirectUriRefused(field=f"redirect_uris.{number}")
    chosen = client_id or str(new_id)
    return Client(
        id=new_id,
        client_id=chosen,
        name=wish.name,
        kind=wish.kind,
        redirect_uris=tuple(dict.fromkeys(wish.redirect_uris)),
        scopes=tuple(sorted(set(wish.scopes))),
        sector=wish.sector or chosen,
        audiences=tuple(sorted(set(wish.audiences))),
        status=ClientStatus.ACTIVE,
        version=1,
        created_at=now,
    )


def suspend(client: Client) -> Client:
    """Suspend a client; the same object when it is suspended already."""
    if client.status is ClientStatus.SUSPENDED:
        return client
    return replace(client, status=ClientStatus.SUSPENDED, version=client.version + 1)


def _may_be_sent_to(uri: str, sandbox_host: str | None) -> bool:
    if not (uri.isascii() and uri.isprintable()) or " " in uri or "\\" in uri:
        return False
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or "@" in parts.netloc or "#" in uri:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and (host in LOOPBACK or host == sandbox_host))
