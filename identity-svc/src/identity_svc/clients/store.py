"""The table of clients, and the only SQL that touches it.

Invariant: a secret is stored as a keyed hash and nowhere else. Secrets are 32 random bytes that no one can guess, so
a slow password hash would protect nothing and cost every token request some tens of milliseconds.
"""

import hmac
import secrets
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.crypto.encoding import to_base64url
from chassis.crypto.keyed_hash import KeyedHashes
from chassis.keys import KeyFolder
from chassis.pagination import Page, Place, page_of
from identity_svc.clients.domain import (
    CLIENT_ID,
    SANDBOX_PREFIX,
    Client,
    ClientExists,
    ClientKind,
    ClientNotFound,
    ClientStatus,
)

SECRET_BYTES = 32

_COLUMNS = "id, client_id, name, kind, redirect_uris, scopes, sector, audiences, status, version, created_at"
_BY_ID = text(f"SELECT {_COLUMNS} FROM client WHERE id = :id")
_BY_CLIENT_ID = text(f"SELECT {_COLUMNS}, secret_hash FROM client WHERE client_id = :client_id")
_LOCK = text(f"SELECT {_COLUMNS} FROM client WHERE client_id = :client_id FOR UPDATE")
_BY_AUDIENCE = text(
    f"SELECT {_COLUMNS} FROM client WHERE audiences @> ARRAY[CAST(:audience AS text)] AND status = 'active'"
    " ORDER BY created_at, id LIMIT 1"
)
_LIST = text(f"SELECT {_COLUMNS} FROM client ORDER BY created_at DESC, id DESC LIMIT :limit")
_LIST_AFTER = text(
    f"SELECT {_COLUMNS} FROM client WHERE (created_at, id) < (:moment, :id)"
    " ORDER BY created_at DESC, id DESC LIMIT :limit"
)
_INSERT = text(
    "INSERT INTO client (id, client_id, secret_hash, name, kind, redirect_uris, scopes, sector, audiences, status,"
    " version, created_at, sandbox) VALUES (:id, :client_id, :secret_hash, :name, :kind, :redirect_uris, :scopes,"
    " :sector, :audiences, :status, :version, :created_at, :sandbox) ON CONFLICT (client_id) DO NOTHING RETURNING id"
)
_SAVE = text("UPDATE client SET status = :status, version = :version WHERE id = :id")
_ANY_OF_SANDBOX = text("SELECT EXISTS (SELECT FROM client WHERE sandbox)")


class ClientSecrets:
    """Makes, hashes and compares the secrets of clients."""

    def __init__(self, hashes: KeyedHashes) -> None:
        self._hashes = hashes

    @classmethod
    def from_folder(cls, keys: KeyFolder) -> Self:
        """Read the keys of kind `hash`."""
        return cls(KeyedHashes(keys.secrets("hash"), "client-secret"))

    def new(self, *, sandbox: bool) -> str:
        """Return a new secret; in a sandbox it says so."""
        return (SANDBOX_PREFIX if sandbox else "") + to_base64url(secrets.token_bytes(SECRET_BYTES))

    def hash(self, secret: str) -> bytes:
        """Return what is stored."""
        return self._hashes.current(secret)

    def match(self, stored: bytes, secret: str) -> bool:
        """Whether `secret` is the one that was hashed."""
        return any(hmac.compare_digest(stored, hashed) for hashed in self._hashes.candidates(secret))


class ClientStore:
    """Registered clients, also the suspended ones."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, client_id: str) -> Client | None:
        """Return a client, or None."""
        found = await self.find_with_secret(client_id)
        return found[0] if found else None

    async def find_with_secret(self, client_id: str) -> tuple[Client, bytes] | None:
        """Return a client and the hash of its secret, or None; what cannot be an id is nobody's."""
        if not CLIENT_ID.fullmatch(client_id):
            return None
        row = (await self._session.execute(_BY_CLIENT_ID, {"client_id": client_id})).one_or_none()
        return (_client(row), row.secret_hash) if row else None

    async def read(self, internal_id: UUID) -> Client:
        """Return a client by its internal id."""
        return _client((await self._session.execute(_BY_ID, {"id": internal_id})).one())

    async def get(self, client_id: str) -> Client:
        """Return and lock a client; raises ClientNotFound."""
        row = (await self._session.execute(_LOCK, {"client_id": client_id})).one_or_none()
        if row is None:
            raise ClientNotFound
        return _client(row)

    async def owner_of(self, audience: str) -> Client | None:
        """Return the active client that was the first to be registered for this audience, or None."""
        row = (await self._session.execute(_BY_AUDIENCE, {"audience": audience})).one_or_none()
        return _client(row) if row else None

    async def list(self, after: Place | None, limit: int) -> Page[Client]:
        """Return a page of clients, newest first."""
        values: dict[str, Any] = {"limit": limit + 1}
        statement = _LIST
        if after is not None:
            statement, values = _LIST_AFTER, values | {"moment": after.moment, "id": after.id}
        rows = await self._session.execute(statement, values)
        return page_of([_client(row) for row in rows], limit, lambda client: Place(client.created_at, client.id))

    async def add(self, client: Client, secret_hash: bytes, *, sandbox: bool) -> None:
        """Write a new client; raises ClientExists, also for one of this very moment."""
        values = {
            "id": client.id,
            "client_id": client.client_id,
            "secret_hash": secret_hash,
            "name": client.name,
            "kind": client.kind.value,
            "redirect_uris": list(client.redirect_uris),
            "scopes": list(client.scopes),
            "sector": client.sector,
            "audiences": list(client.audiences),
            "status": client.status.value,
            "version": client.version,
            "created_at": client.created_at,
            "sandbox": sandbox,
        }
        if await self._session.scalar(_INSERT, values) is None:
            raise ClientExists(field="client_id")

    async def save(self, client: Client) -> None:
        """Write what a step has changed."""
        values = {"id": client.id, "status": client.status.value, "version": client.version}
        await self._session.execute(_SAVE, values)

    async def any_of_sandbox(self) -> bool:
        """Whether any client was given an id or a secret that may be known to anybody."""
        return bool(await self._session.scalar(_ANY_OF_SANDBOX))


def _client(row: Row[Any]) -> Client:
    return Client(
        id=row.id,
        client_id=row.client_id,
        name=row.name,
        kind=ClientKind(row.kind),
        redirect_uris=tuple(row.redirect_uris),
        scopes=tuple(row.scopes),
        sector=row.sector,
        audiences=tuple(row.audiences),
        status=ClientStatus(row.status),
        version=row.version,
        created_at=row.created_at,
    )
