"""Everything that tokens keep: revocations, codes, policies, pairwise subjects, persons behind outside tokens.

Invariant: a revocation's number becomes visible only after every lower one, because whoever draws a number holds the
counter's row until the commit; secrets (codes) are stored as hashes only.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pagination import Page, Place, page_of
from identity_svc.tokens.domain.access_token import Ancestor
from identity_svc.tokens.domain.codes import CODE_LIFETIME, AuthorizationCode
from identity_svc.tokens.domain.exchange import ExchangePolicy

REVOCATIONS_A_PAGE: Final = 1_000
_SPENT_CODES_KEPT: Final = timedelta(hours=1)
"""So long a second use of a code is recognised as such."""

_DRAW_NUMBER = text("UPDATE revocation_number SET n = n + 1 RETURNING n")
_REVOKE = text(
    "INSERT INTO revocation (id, not_before_ms, n) VALUES (:id, :not_before_ms, :n) ON CONFLICT (id) DO UPDATE"
    " SET not_before_ms = greatest(revocation.not_before_ms, excluded.not_before_ms), n = excluded.n"
)
_REVOCATIONS_AFTER = text(
    "SELECT id, not_before_ms, n FROM revocation WHERE n > :after AND not_before_ms > :since_ms ORDER BY n LIMIT :limit"
)
_NEWEST = text("SELECT n FROM revocation_number")
_KILLED = text(
    "SELECT EXISTS (SELECT FROM unnest(CAST(:ids AS text[]), CAST(:issued AS bigint[])) AS named (id, issued_ms)"
    " JOIN revocation USING (id) WHERE revocation.not_before_ms > named.issued_ms)"
)
_ADD_CODE = text(
    "INSERT INTO authorization_code (code_hash, client_id, redirect_uri, challenge, nonce, scopes, citizen, acr, amr,"
    " auth_time, created_at) VALUES (:code_hash, :client_id, :redirect_uri, :challenge, :nonce, :scopes, :citizen,"
    " :acr, :amr, :auth_time, :created_at)"
)
_FIND_CODE = text("SELECT * FROM authorization_code WHERE code_hash = :code_hash FOR UPDATE")
_SPEND_CODE = text(
    "UPDATE authorization_code SET spent = true, token_jti = :jti, token_issued_ms = :issued_ms"
    " WHERE code_hash = :code_hash"
)
_FIND_SUBJECT = text("SELECT subject FROM pairwise_subject WHERE citizen = :citizen AND sector = :sector")
_ADD_SUBJECT = text(
    "INSERT INTO pairwise_subject (citizen, sector, subject) VALUES (:citizen, :sector, :subject)"
    " ON CONFLICT (citizen, sector) DO UPDATE SET subject = pairwise_subject.subject RETURNING subject"
)
_ADD_OUTSIDE = text("INSERT INTO outside_token (jti, citizen, expires_at) VALUES (:jti, :citizen, :expires_at)")
_FIND_OUTSIDE = text("SELECT citizen FROM outside_token WHERE jti = :jti")
_FIND_POLICY = text("SELECT * FROM exchange_policy WHERE client_id = :client_id AND audience = :audience")
_GET_POLICY = text("SELECT * FROM exchange_policy WHERE id = :id")
_SET_POLICY = text(
    "INSERT INTO exchange_policy"
    " (id, client_id, audience, scopes, max_lifetime_s, min_acr, subject_clients, changed_at)"
    " VALUES (:id, :client_id, :audience, :scopes, :max_lifetime_s, :min_acr, :subject_clients, :now)"
    " ON CONFLICT (client_id, audience) DO UPDATE SET scopes = excluded.scopes,"
    " max_lifetime_s = excluded.max_lifetime_s, min_acr = excluded.min_acr,"
    " subject_clients = excluded.subject_clients, changed_at = excluded.changed_at RETURNING id"
)
_LIST_POLICIES = text(
    "SELECT * FROM exchange_policy WHERE CAST(:moment AS timestamptz) IS NULL"
    " OR (changed_at, id) < (CAST(:moment AS timestamptz), CAST(:id AS uuid))"
    " ORDER BY changed_at DESC, id DESC LIMIT :limit"
)
_FORGET_CODES = text("DELETE FROM authorization_code WHERE created_at < :before")
_FORGET_OUTSIDE = text("DELETE FROM outside_token WHERE expires_at < :now")


@dataclass(frozen=True, kw_only=True)
class Revocation:
    """An id and the moment before which tokens that name it are dead."""

    id: str  # a jti, person:…, client:…, kid:…, binding:…
    not_before_ms: int
    n: int


class RevocationStore:
    """The one list of revocations."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def revoke(self, revoked: str, not_before_ms: int) -> None:
        """Kill every token that names this id and was issued before `not_before_ms`.

        Call it late: the counter's row stays locked until the commit, and all that revoke wait for it.
        """
        n = await self._session.scalar(_DRAW_NUMBER)
        await self._session.execute(_REVOKE, {"id": revoked, "not_before_ms": not_before_ms, "n": n})

    async def after(self, n: int, *, since_ms: int, limit: int = REVOCATIONS_A_PAGE) -> list[Revocation]:
        """Return what was numbered after `n` and can still concern a token issued after `since_ms`, in order."""
        rows = await self._session.execute(_REVOCATIONS_AFTER, {"after": n, "since_ms": since_ms, "limit": limit})
        return [Revocation(id=row.id, not_before_ms=row.not_before_ms, n=row.n) for row in rows]

    async def newest(self) -> int:
        """Return the highest number given out."""
        return int(await self._session.scalar(_NEWEST) or 0)

    async def kills(self, named: Iterable[tuple[str, int]]) -> bool:
        """Whether any of these ids was revoked after the time that stands beside it."""
        ids, issued = zip(*named, strict=True)
        return bool(await self._session.scalar(_KILLED, {"ids": list(ids), "issued": list(issued)}))


class CodeStore:
    """Authorization codes, found by their hash."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, code: str, stands_for: AuthorizationCode) -> None:
        """Keep a new code."""
        values = {
            name: getattr(stands_for, name)
            for name in ("client_id", "redirect_uri", "challenge", "nonce", "citizen", "acr", "auth_time", "created_at")
        }
        lists = {"scopes": sorted(stands_for.scopes), "amr": list(stands_for.amr)}
        await self._session.execute(_ADD_CODE, values | lists | {"code_hash": _hash(code)})

    async def find(self, code: str) -> AuthorizationCode | None:
        """Return what a code stands for and lock it: the second of two redeemers sees what the first did."""
        row = (await self._session.execute(_FIND_CODE, {"code_hash": _hash(code)})).one_or_none()
        if row is None:
            return None
        return AuthorizationCode(
            client_id=row.client_id,
            redirect_uri=row.redirect_uri,
            challenge=row.challenge,
            nonce=row.nonce,
            scopes=frozenset(row.scopes),
            citizen=row.citizen,
            acr=row.acr,
            amr=tuple(row.amr),
            auth_time=row.auth_time,
            created_at=row.created_at,
            spent=row.spent,
            spent_on=Ancestor(row.token_jti, row.token_issued_ms) if row.token_jti else None,
        )

    async def spend(self, code: str, token: Ancestor | None) -> None:
        """Note that a code is used up, and for which token; None when it was spoilt by a wrong use."""
        values = {"jti": token.jti if token else None, "issued_ms": token.issued_ms if token else None}
        await self._session.execute(_SPEND_CODE, values | {"code_hash": _hash(code)})


class SubjectStore:
    """Under which name a sector knows a person: kept, so that it outlives the key it was made with."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, citizen: UUID, sector: str) -> str | None:
        """Return the subject of a person in a sector, once there is one."""
        found: str | None = await self._session.scalar(_FIND_SUBJECT, {"citizen": citizen, "sector": sector})
        return found

    async def add(self, citizen: UUID, sector: str, subject: str) -> str:
        """Keep a new one; returns that which was kept, when somebody was faster."""
        kept = await self._session.scalar(_ADD_SUBJECT, {"citizen": citizen, "sector": sector, "subject": subject})
        return str(kept)


class OutsideTokenStore:
    """Who is behind a token for an outside audience; the token itself does not tell."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, jti: str, citizen: UUID, expires_at: datetime) -> None:
        """Remember the person until the token has expired."""
        await self._session.execute(_ADD_OUTSIDE, {"jti": jti, "citizen": citizen, "expires_at": expires_at})

    async def citizen_of(self, jti: str) -> UUID | None:
        """Return the person behind a token that is still alive."""
        found: UUID | None = await self._session.scalar(_FIND_OUTSIDE, {"jti": jti})
        return found


class PolicyStore:
    """Exchange policies, one for each client and audience."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, client_id: str, audience: str) -> ExchangePolicy | None:
        """Return the policy of a client for an audience."""
        values = {"client_id": client_id, "audience": audience}
        row = (await self._session.execute(_FIND_POLICY, values)).one_or_none()
        return _policy(row) if row else None

    async def get(self, policy_id: UUID) -> ExchangePolicy:
        """Return a policy that exists."""
        return _policy((await self._session.execute(_GET_POLICY, {"id": policy_id})).one())

    async def set(self, policy: ExchangePolicy, now: datetime) -> UUID:
        """Keep a policy in the place of the one before; returns the id under which it stands."""
        values = {
            "id": policy.id,
            "client_id": policy.client_id,
            "audience": policy.audience,
            "scopes": sorted(policy.scopes),
            "max_lifetime_s": policy.max_lifetime_s,
            "min_acr": policy.min_acr,
            "subject_clients": sorted(policy.subject_clients),
            "now": now,
        }
        kept: UUID = (await self._session.execute(_SET_POLICY, values)).scalar_one()
        return kept

    async def list(self, place: Place | None, limit: int) -> Page[ExchangePolicy]:
        """Return a page, last changed first."""
        values = {"moment": place.moment if place else None, "id": place.id if place else None, "limit": limit + 1}
        rows: Sequence[Any] = (await self._session.execute(_LIST_POLICIES, values)).all()
        page = page_of(rows, limit, lambda row: Place(row.changed_at, row.id))
        return Page([_policy(row) for row in page.items], page.next)


async def forget_outlived(session: AsyncSession, now: datetime) -> None:
    """Delete codes and outside tokens that can be of no use or evidence any more (the journal keeps their story)."""
    await session.execute(_FORGET_CODES, {"before": now - CODE_LIFETIME - _SPENT_CODES_KEPT})
    await session.execute(_FORGET_OUTSIDE, {"now": now})


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()


def _policy(row: Row[Any]) -> ExchangePolicy:
    return ExchangePolicy(
        id=row.id,
        client_id=row.client_id,
        audience=row.audience,
        scopes=frozenset(row.scopes),
        max_lifetime_s=row.max_lifetime_s,
        min_acr=row.min_acr,
        subject_clients=frozenset(row.subject_clients),
    )
