"""Sign-ins under way, sessions, and how often what was tried.

Invariant: what a browser holds (cookies) is stored as hashes only; counters and their subjects are keyed hashes, so
the table does not tell whose numbers were tried.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from identity_svc.signin.domain.requests import AuthorizationRequest
from identity_svc.signin.domain.sign_ins import SESSION_LIFETIME, Limit, Session, SignIn, Step

_PROVED: Final = ("citizen", "verified_at", "acr", "amr")
_FIELDS: Final = (*_PROVED, "person_hash", "code_hash", "code_until", "tries", "face_url")
_SAVED: Final = ("step", *_FIELDS, "expires_at")
_ADD = text(
    f"INSERT INTO sign_in (id, cookie_hash, request, {', '.join(_SAVED)})"
    f" VALUES (:id, :cookie_hash, CAST(:request AS jsonb), {', '.join(':' + name for name in _SAVED)})"
)
_LOCK = text("SELECT * FROM sign_in WHERE id = :id FOR UPDATE")
_LOCK_BY_COOKIE = text("SELECT * FROM sign_in WHERE cookie_hash = :cookie_hash FOR UPDATE")
_SAVE = text(f"UPDATE sign_in SET {', '.join(f'{name} = :{name}' for name in _SAVED)} WHERE id = :id")
_ADD_SESSION = text(
    "INSERT INTO sso_session (id_hash, citizen, acr, amr, auth_time, created_at, used_at)"
    " VALUES (:id_hash, :citizen, :acr, :amr, :auth_time, :created_at, :used_at)"
)
_FIND_SESSION = text("SELECT * FROM sso_session WHERE id_hash = :id_hash")
_USE_SESSION = text("UPDATE sso_session SET used_at = :now WHERE id_hash = :id_hash")
_END_SESSION = text("DELETE FROM sso_session WHERE id_hash = :id_hash")
_COUNT = text(
    "INSERT INTO sign_in_count AS known (subject, window_start, count) VALUES (:subject, :start, 1)"
    " ON CONFLICT (subject, window_start) DO UPDATE SET count = known.count + 1 RETURNING count"
)
_COUNTED = text("SELECT count FROM sign_in_count WHERE subject = :subject AND window_start = :start")
_FORGET_SIGN_INS = text("DELETE FROM sign_in WHERE expires_at < :now")
_FORGET_SESSIONS = text("DELETE FROM sso_session WHERE created_at < :before")
_FORGET_COUNTS = text("DELETE FROM sign_in_count WHERE window_start < :before")


class SignInStore:
    """Sign-ins under way."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, sign_in: SignIn) -> None:
        """Keep a new one."""
        kept = {"cookie_hash": sign_in.cookie_hash, "request": json.dumps(sign_in.request.to_json())}
        await self._session.execute(_ADD, _values(sign_in) | kept)

    async def get(self, sign_in_id: UUID) -> SignIn | None:
        """Return and lock one: of two clicks at once the second sees what the first did."""
        row = (await self._session.execute(_LOCK, {"id": sign_in_id})).one_or_none()
        return _sign_in(row) if row else None

    async def of_browser(self, cookie_hash: bytes) -> SignIn | None:
        """Return and lock the one that this browser began last."""
        row = (await self._session.execute(_LOCK_BY_COOKIE, {"cookie_hash": cookie_hash})).one_or_none()
        return _sign_in(row) if row else None

    async def save(self, sign_in: SignIn) -> None:
        """Write what a step has changed."""
        await self._session.execute(_SAVE, _values(sign_in))


class SessionStore:
    """Citizens signed in at a browser."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, id_hash: bytes, session: Session) -> None:
        """Keep a new session."""
        values = {name: getattr(session, name) for name in ("citizen", "acr", "auth_time", "created_at", "used_at")}
        await self._session.execute(_ADD_SESSION, values | {"id_hash": id_hash, "amr": list(session.amr)})

    async def find(self, id_hash: bytes) -> Session | None:
        """Return a session, living or not."""
        row = (await self._session.execute(_FIND_SESSION, {"id_hash": id_hash})).one_or_none()
        if row is None:
            return None
        return Session(
            citizen=row.citizen,
            acr=row.acr,
            amr=tuple(row.amr),
            auth_time=row.auth_time,
            created_at=row.created_at,
            used_at=row.used_at,
        )

    async def use(self, id_hash: bytes, now: datetime) -> None:
        """Note that a session is still in use."""
        await self._session.execute(_USE_SESSION, {"id_hash": id_hash, "now": now})

    async def end(self, id_hash: bytes) -> None:
        """Forget a session."""
        await self._session.execute(_END_SESSION, {"id_hash": id_hash})


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What is counted, under which limit."""

    subject: bytes
    limit: Limit


class CountStore:
    """How often something happened in the present window."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, counted: Sequence[Counted], now: datetime) -> list[bool]:
        """Count each once more, in the order of their subjects; returns which are within their limit."""
        within: dict[bytes, bool] = {}
        for one in sorted(counted, key=lambda each: each.subject):
            count = await self._session.scalar(_COUNT, {"subject": one.subject, "start": _window(one.limit, now)})
            within[one.subject] = int(count or 0) <= one.limit.most
        return [within[one.subject] for one in counted]

    async def is_used_up(self, counted: Counted, now: datetime) -> bool:
        """Whether the limit was reached already; counts nothing."""
        values = {"subject": counted.subject, "start": _window(counted.limit, now)}
        return int(await self._session.scalar(_COUNTED, values) or 0) >= counted.limit.most


async def forget_outlived(session: AsyncSession, now: datetime) -> None:
    """Delete what is over: sign-ins, sessions, and counters of past windows."""
    await session.execute(_FORGET_SIGN_INS, {"now": now})
    await session.execute(_FORGET_SESSIONS, {"before": now - SESSION_LIFETIME})
    await session.execute(_FORGET_COUNTS, {"before": now - SESSION_LIFETIME})


def _window(limit: Limit, now: datetime) -> datetime:
    length_s = limit.window.total_seconds()
    return datetime.fromtimestamp(now.timestamp() // length_s * length_s, UTC)


def _values(sign_in: SignIn) -> dict[str, Any]:
    values = {name: getattr(sign_in, name) for name in _SAVED}
    return values | {"id": sign_in.id, "step": sign_in.step.value, "amr": list(sign_in.amr)}


def _sign_in(row: Row[Any]) -> SignIn:
    kept = row.request if isinstance(row.request, dict) else json.loads(row.request)
    values = {name: getattr(row, name) for name in (*_FIELDS, "id", "cookie_hash", "expires_at")}
    return SignIn(
        **values | {"amr": tuple(row.amr), "step": Step(row.step), "request": AuthorizationRequest.from_json(kept)}
    )
