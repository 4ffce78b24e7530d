"""Token exchange (RFC 8693) as a decision: what of a token another client may have, under a stored policy.

Invariant: scope, lifetime and assurance of the new token are never more than those of the old one or of the policy,
and its audience is exactly the one that the policy names; whatever is asked beyond that is refused, never trimmed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from chassis.errors import Unprocessable
from identity_svc.clients.domain import Client
from identity_svc.tokens.domain.access_token import (
    LINEAGE_MAX,
    OUTSIDE_LIFETIME_S,
    OWN_LIFETIME_S,
    AccessToken,
    Ancestor,
)
from identity_svc.tokens.domain.assurance import CLIENT, reaches
from identity_svc.tokens.domain.refusals import InvalidRequest, InvalidScope, InvalidTarget

ACTORS_MAX: Final = 4


class ExchangePolicyNotAllowed(Unprocessable):
    """This policy would give more than any policy may."""

    code = "exchange-policy-not-allowed"


@dataclass(frozen=True, kw_only=True)
class ExchangePolicy:
    """What one client may make of its tokens for one audience."""

    id: UUID
    client_id: str
    audience: str
    scopes: frozenset[str]
    max_lifetime_s: int
    min_acr: str  # weaker subject tokens are refused
    subject_clients: frozenset[str]  # whose tokens it may exchange besides its own and those made for its audience


@dataclass(frozen=True, kw_only=True)
class Narrowed:
    """What the new token may be."""

    audience: str
    scopes: frozenset[str]
    acr: str
    expires_s: int
    lineage: tuple[Ancestor, ...]
    act: Mapping[str, Any] | None


def lifetime_limit_s(audience: str, own_audience: str) -> int:
    """Return how long a token for this audience may live at most."""
    return OWN_LIFETIME_S if audience == own_audience else OUTSIDE_LIFETIME_S


def check_policy(policy: ExchangePolicy, own_audience: str) -> None:
    """Return when a policy may be stored; raises ExchangePolicyNotAllowed, naming the field."""
    limit_s = lifetime_limit_s(policy.audience, own_audience)
    if policy.max_lifetime_s > limit_s:
        raise ExchangePolicyNotAllowed(f"At most {limit_s} s for this audience.", field="max_lifetime_s")
    if not reaches(policy.min_acr, CLIENT):
        raise ExchangePolicyNotAllowed("Not an assurance that we know.", field="min_acr")


def narrow(
    subject: AccessToken,
    actor: AccessToken | None,
    *,
    requester: Client,
    audience: str,
    scopes: frozenset[str] | None,
    policy: ExchangePolicy | None,
    own_audience: str,
    now_s: int,
) -> Narrowed:
    """Decide what of `subject` the requester gets for `audience`; `scopes` None asks for all that is allowed.

    Raises InvalidTarget, InvalidRequest or InvalidScope.
    """
    if policy is None or (policy.client_id, policy.audience) != (requester.client_id, audience):
        raise InvalidTarget("No policy lets this client have tokens for this audience.")
    _check_may_exchange(subject, requester, policy)
    if subject.citizen is None or not reaches(subject.acr, policy.min_acr):
        raise InvalidRequest("The person behind the subject_token was not verified strongly enough for this policy.")
    allowed = subject.scopes & policy.scopes
    granted = allowed if scopes is None else scopes
    if not granted or not granted <= allowed:
        raise InvalidScope("The subject_token and the policy together do not have this scope.")
    expires_s = min(subject.expires_s, now_s + min(policy.max_lifetime_s, lifetime_limit_s(audience, own_audience)))
    if actor is not None:
        expires_s = min(expires_s, actor.expires_s)
    if expires_s <= now_s:
        raise InvalidRequest("The subject_token has expired.")
    parents = [token for token in (subject, actor) if token is not None]
    lineage = tuple(
        dict.fromkeys(one for token in parents for one in (Ancestor(token.jti, token.issued_ms), *token.lineage))
    )
    if len(lineage) > LINEAGE_MAX:
        raise InvalidRequest(f"The subject_token comes from {LINEAGE_MAX} tokens already.")
    act = _acting(subject, actor, requester, to_own_audience=audience == own_audience)
    return Narrowed(audience=audience, scopes=granted, acr=subject.acr, expires_s=expires_s, lineage=lineage, act=act)


def _check_may_exchange(subject: AccessToken, requester: Client, policy: ExchangePolicy) -> None:
    made_for_requester = subject.audience in requester.audiences
    if not (
        made_for_requester or subject.client_id == requester.client_id or subject.client_id in policy.subject_clients
    ):
        raise InvalidRequest("The subject_token was neither made for this client nor may it exchange that of others.")


def _acting(
    subject: AccessToken, actor: AccessToken | None, requester: Client, *, to_own_audience: bool
) -> Mapping[str, Any] | None:
    """Return who acts: the actor before those who acted already; nobody is dropped from the chain."""
    if actor is None:
        act = subject.act
    else:
        if actor.client_id != requester.client_id or actor.citizen is not None or actor.act is not None:
            raise InvalidRequest("The actor_token must be the requesting client's own, and speak for it alone.")
        act = {"sub": actor.client_id, "client_id": actor.client_id}
        if subject.act is not None:
            act["act"] = dict(subject.act)
    if act is not None and to_own_audience:
        # Our own services know persons who act on a ground that is on record, and nobody else.
        raise InvalidTarget("A token with a client as actor is not for our own API.")
    depth, inner = 0, act
    while inner is not None:
        depth, inner = depth + 1, inner.get("act")
    if depth > ACTORS_MAX:
        raise InvalidRequest(f"At most {ACTORS_MAX} actors stand behind one another.")
    return act
