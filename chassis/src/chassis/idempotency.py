"""Idempotency-Key: the same POST sent twice has one effect (draft-ietf-httpapi-idempotency-key-header).

The row (client, person, operation, key) -> body hash and id of what was created is written in the transaction of the
effect. A replay reads that resource as it is now; no answer is stored, so nothing personal is. The key is kept as a
hash, and keys the hash of the body: whoever reads the table cannot try out document numbers. A refusal changed
nothing, leaves no row and is decided anew.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy import text

from chassis.errors import IdempotencyKeyReused, StillRunning
from chassis.work import Work

Resource = TypeVar("Resource")

KEY_PATTERN = r"^[\x21-\x7e]{1,200}$"
"""1 to 200 visible ASCII characters."""
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:slot)")
_FIND = text(
    "SELECT body_hash, resource FROM idempotency"
    " WHERE client = :client AND person = :person AND operation = :operation AND key = :key"
)
_INSERT = text(
    "INSERT INTO idempotency (client, person, operation, key, body_hash, resource, created_at)"
    " VALUES (:client, :person, :operation, :key, :body_hash, :resource, :now)"
)

CREATE_TABLE = """
CREATE TABLE idempotency (
    client text NOT NULL, person text NOT NULL, operation text NOT NULL, key text NOT NULL,
    body_hash bytea NOT NULL, resource uuid NOT NULL, created_at timestamptz NOT NULL,
    PRIMARY KEY (client, person, operation, key))
"""


@dataclass(frozen=True, kw_only=True)
class KeyedRequest:
    """What makes two requests the same request."""

    client: str
    person: str
    operation: str
    key: str  # sha256 of what the client sent, in hexadecimal
    body_hash: bytes  # HMAC-SHA256 of the exact path and body under the key that the client sent

    @property
    def slot(self) -> int:
        """The advisory lock of this request: 64 bits of a hash, so two requests share one only by bad luck."""
        name = "\0".join((self.client, self.person, self.operation, self.key)).encode()
        return int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)


def keyed_request(*, client: str, person: UUID | None, operation: str, key: str, body: bytes) -> KeyedRequest:
    """Say what makes a request with this key the same as another; `key` is of KEY_PATTERN."""
    return KeyedRequest(
        client=client,
        person=str(person or ""),
        operation=operation,
        key=hashlib.sha256(key.encode()).hexdigest(),
        body_hash=hmac.digest(key.encode(), body, hashlib.sha256),
    )


async def once(
    work: Work,
    request: KeyedRequest,
    create: Callable[[], Awaitable[tuple[UUID, Resource]]],
    read: Callable[[UUID], Awaitable[Resource]],
) -> Resource:
    """Create the resource, or read the one that this request created before.

    Raises StillRunning when the first request has not finished, IdempotencyKeyReused when the body differs.
    """
    if not await work.session.scalar(_TRY_LOCK, {"slot": request.slot}):
        raise StillRunning
    created = await created_before(work, request)
    if created is not None:
        return await read(created)
    resource_id, resource = await create()
    await work.session.execute(
        _INSERT, _names(request) | {"body_hash": request.body_hash, "resource": resource_id, "now": work.now}
    )
    return resource


async def created_before(work: Work, request: KeyedRequest) -> UUID | None:
    """Return the id of what this request created when it came before; raises IdempotencyKeyReused.

    For a request whose body is only good for a while: its repetition is answered also when it no longer is.
    """
    found = (await work.session.execute(_FIND, _names(request))).one_or_none()
    if found is None:
        return None
    if found.body_hash != request.body_hash:
        raise IdempotencyKeyReused
    created: UUID = found.resource
    return created


def _names(request: KeyedRequest) -> dict[str, str]:
    return {name: getattr(request, name) for name in ("client", "person", "operation", "key")}
