"""Say what a token is worth now, and make one worthless: introspection (RFC 7662) and revocation (RFC 7009).

Invariant: a token is live only while neither it, an ancestor, the person, a client or key that it names is revoked;
one answer, "inactive", covers every reason and also those who have no business to ask.
"""

from dataclasses import replace

from chassis.work import Fact, Work
from identity_svc.clients.domain import Client
from identity_svc.tokens.adapters import NotOurToken
from identity_svc.tokens.domain.access_token import AccessToken, shown_actors
from identity_svc.tokens.domain.assurance import CLIENT
from identity_svc.tokens.store import OutsideTokenStore, RevocationStore
from identity_svc.tokens.use_cases.desk import REVOKED, TokenDesk, milliseconds

REFUSED = "identity.token.refused.v1"


async def open_live_token(work: Work, desk: TokenDesk, text: str) -> AccessToken | None:
    """Return what a token says, with the person behind it, when it is ours and live; None otherwise."""
    try:
        token, kid = desk.smith.open(text)
    except NotOurToken:
        return None
    if token.expires_s <= milliseconds(work) // 1000:
        return None
    if token.citizen is None and token.acr != CLIENT:
        citizen = await OutsideTokenStore(work.session).citizen_of(token.jti)
        if citizen is None:
            return None
        token = replace(token, citizen=citizen)
    return None if await RevocationStore(work.session).kills(token.names(kid)) else token


async def introspect(work: Work, desk: TokenDesk, client: Client, text: str) -> dict[str, object]:
    """Answer an introspection; a client without business with this token learns nothing of it."""
    token = await open_live_token(work, desk, text)
    if token is None:
        return {"active": False}
    concerns = token.client_id == client.client_id or token.audience in client.audiences
    if not concerns and "introspect" not in client.scopes:
        details = {"operation": "identity.introspect", "jti": token.jti}
        work.record(Fact(topic=REFUSED, key=client.client_id, details=details, denial=True))
        return {"active": False}
    answer: dict[str, object] = {
        "active": True,
        "iss": desk.smith.issuer,
        "aud": token.audience,
        "sub": token.subject,
        "client_id": token.client_id,
        "scope": " ".join(sorted(token.scopes)),
        "token_type": "Bearer",
        "acr": token.acr,
        "jti": token.jti,
        "iat": token.issued_ms // 1000,
        "exp": token.expires_s,
    }
    if token.auth_time is not None:
        answer |= {"auth_time": token.auth_time, "amr": list(token.amr)}
    if token.act is not None:
        answer["act"] = shown_actors(token.act)
    return answer


async def revoke(work: Work, desk: TokenDesk, client: Client, text: str) -> None:
    """Kill a token of this client, and with it all that was made from it; anything else changes nothing."""
    try:
        token, _ = desk.smith.open(text)
    except NotOurToken:
        return
    if token.client_id != client.client_id:
        details = {"operation": "identity.revoke", "jti": token.jti}
        work.record(Fact(topic=REFUSED, key=client.client_id, details=details, denial=True))
        return
    now_ms = milliseconds(work)
    if token.expires_s <= now_ms // 1000:
        return
    await RevocationStore(work.session).revoke(token.jti, max(now_ms, token.issued_ms) + 1)
    details = {"jti": token.jti, "reason": "its client asked for it", "client": client.client_id}
    work.record(Fact(topic=REVOKED, key=str(token.citizen or client.client_id), details=details))
