"""Exchange a token for one of another audience (RFC 8693), and keep the policies that allow it.

Invariant: only a live token of ours is exchanged, and the new one names it as its ancestor, so it dies with it.
"""

from datetime import UTC, datetime

from chassis.work import Fact, Work
from identity_svc.clients.domain import Client
from identity_svc.clients.store import ClientStore
from identity_svc.clients.use_cases import find_active_client
from identity_svc.tokens.domain.access_token import AccessToken
from identity_svc.tokens.domain.exchange import ExchangePolicy, ExchangePolicyNotAllowed, check_policy, narrow
from identity_svc.tokens.domain.refusals import InvalidRequest, InvalidTarget
from identity_svc.tokens.store import OutsideTokenStore, PolicyStore
from identity_svc.tokens.use_cases.checking import open_live_token
from identity_svc.tokens.use_cases.desk import TokenDesk, milliseconds, told
from identity_svc.tokens.use_cases.issuing import Issued

EXCHANGED = "identity.token.exchanged.v1"
POLICY_SET = "identity.exchange_policy.set.v1"


async def exchange(
    work: Work,
    desk: TokenDesk,
    client: Client,
    *,
    subject_token: str,
    actor_token: str | None,
    audience: str,
    scopes: frozenset[str] | None,
) -> Issued:
    """Make the narrower token; raises OAuthRefusal."""
    subject = await open_live_token(work, desk, subject_token)
    if subject is None:
        raise InvalidRequest("The subject_token is not valid, or not any more.")
    actor = None
    if actor_token is not None:
        actor = await open_live_token(work, desk, actor_token)
        if actor is None:
            raise InvalidRequest("The actor_token is not valid, or not any more.")
    issued_ms = milliseconds(work)
    narrowed = narrow(
        subject,
        actor,
        requester=client,
        audience=audience,
        scopes=scopes,
        policy=await PolicyStore(work.session).find(client.client_id, audience),
        own_audience=desk.own_audience,
        now_s=issued_ms // 1000,
    )
    owner = client if audience == desk.own_audience else await ClientStore(work.session).owner_of(audience)
    if owner is None or subject.citizen is None:
        raise InvalidTarget("Nobody is registered as this audience any more.")
    token = AccessToken(
        audience=narrowed.audience,
        subject=await desk.subject_of(work, subject.citizen, owner.sector),
        citizen=subject.citizen,
        client_id=client.client_id,
        kind=client.kind.value,
        scopes=narrowed.scopes,
        acr=narrowed.acr,
        amr=subject.amr,
        auth_time=subject.auth_time,
        jti=str(work.new_id()),
        issued_ms=issued_ms,
        expires_s=narrowed.expires_s,
        lineage=narrowed.lineage,
        act=narrowed.act,
    )
    if token.audience != desk.own_audience:
        expires_at = datetime.fromtimestamp(token.expires_s, UTC)
        await OutsideTokenStore(work.session).add(token.jti, subject.citizen, expires_at)
    work.record(Fact(topic=EXCHANGED, key=str(subject.citizen), details=told(token, "token_exchange")))
    return Issued(
        access_token=desk.smith.sign(token),
        expires_in_s=token.expires_s - issued_ms // 1000,
        scopes=token.scopes,
        was_exchanged=True,
    )


async def set_policy(work: Work, desk: TokenDesk, policy: ExchangePolicy) -> ExchangePolicy:
    """Keep a policy in the place of the one before for the same client and audience."""
    check_policy(policy, desk.own_audience)
    if await find_active_client(work.session, policy.client_id) is None:
        raise ExchangePolicyNotAllowed("There is no such client.", field="client_id")
    if policy.audience != desk.own_audience and await ClientStore(work.session).owner_of(policy.audience) is None:
        raise ExchangePolicyNotAllowed("No client is registered as this audience.", field="audience")
    kept = await PolicyStore(work.session).get(await PolicyStore(work.session).set(policy, work.now))
    details = {
        "policy": str(kept.id),
        "client": kept.client_id,
        "audience": kept.audience,
        "scopes": sorted(kept.scopes),
        "max_lifetime_s": kept.max_lifetime_s,
        "min_acr": kept.min_acr,
        "subject_clients": sorted(kept.subject_clients),
    }
    work.record(Fact(topic=POLICY_SET, key=kept.client_id, details=details))
    return kept
