"""Make access tokens for a redeemed code and for clients themselves.

Invariant: a code becomes one token; its second use also kills that token and all that was made from it.
"""

from dataclasses import dataclass

from chassis.work import Fact, Work
from identity_svc.clients.domain import KINDS_WITH_CITIZENS, Client
from identity_svc.tokens.domain.access_token import OWN_LIFETIME_S, AccessToken, Ancestor
from identity_svc.tokens.domain.assurance import CLIENT, PERSON_SCOPES
from identity_svc.tokens.domain.codes import AuthorizationCode, check_redeemable
from identity_svc.tokens.domain.refusals import InvalidGrant, InvalidScope, OAuthRefusal, UnauthorizedClient
from identity_svc.tokens.store import CodeStore, RevocationStore
from identity_svc.tokens.use_cases.desk import REVOKED, TokenDesk, milliseconds, told

ISSUED = "identity.token.issued.v1"


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A token as it is handed out."""

    access_token: str
    expires_in_s: int
    scopes: frozenset[str]
    id_token: str | None = None
    was_exchanged: bool = False


async def redeem_code(
    work: Work, desk: TokenDesk, client: Client, *, code: str, redirect_uri: str, verifier: str
) -> Issued | OAuthRefusal:
    """Turn a code into a token; a refusal is returned, not raised, because what it changes must be committed.

    A wrong use spoils the code: whoever holds it without its verifier must not try twice.
    """
    if client.kind not in KINDS_WITH_CITIZENS:
        return UnauthorizedClient("Citizens come through channels and platforms only.")
    codes = CodeStore(work.session)
    granted = await codes.find(code)
    if granted is None:
        return InvalidGrant("There is no such code.")
    if granted.spent:
        await _kill_what_was_issued(work, client, granted)
        return InvalidGrant("The code was used before.")
    try:
        check_redeemable(
            granted, client_id=client.client_id, redirect_uri=redirect_uri, verifier=verifier, now=work.now
        )
    except InvalidGrant as refusal:
        await codes.spend(code, None)
        return refusal
    if not granted.scopes & frozenset(client.scopes) or await RevocationStore(work.session).kills(granted.names):
        return InvalidGrant("What the code stood for has been revoked.")
    token = await _token_for_person(work, desk, client, granted)
    await codes.spend(code, Ancestor(token.jti, token.issued_ms))
    work.record(Fact(topic=ISSUED, key=str(granted.citizen), details=told(token, "authorization_code")))
    return Issued(
        access_token=desk.smith.sign(token),
        expires_in_s=token.expires_s - token.issued_ms // 1000,
        scopes=token.scopes,
        id_token=_id_token(desk, token, granted) if "openid" in token.scopes else None,
    )


async def issue_to_client(work: Work, desk: TokenDesk, client: Client, scopes: frozenset[str] | None) -> Issued:
    """Make a token for a client itself; without `scopes` it gets all of its own. Raises OAuthRefusal."""
    if client.kind in KINDS_WITH_CITIZENS:
        raise UnauthorizedClient("A client of this kind acts for citizens only.")
    allowed = frozenset(client.scopes) - PERSON_SCOPES
    granted = allowed if scopes is None else scopes
    if not granted or not granted <= allowed:
        raise InvalidScope("The client is not registered for this scope, or only a citizen can give it.")
    issued_ms = milliseconds(work)
    token = AccessToken(
        audience=desk.own_audience,
        subject=client.client_id,
        citizen=None,
        client_id=client.client_id,
        kind=client.kind.value,
        scopes=granted,
        acr=CLIENT,
        amr=(),
        auth_time=None,
        jti=str(work.new_id()),
        issued_ms=issued_ms,
        expires_s=issued_ms // 1000 + OWN_LIFETIME_S,
    )
    work.record(Fact(topic=ISSUED, key=client.client_id, details=told(token, "client_credentials")))
    return Issued(access_token=desk.smith.sign(token), expires_in_s=OWN_LIFETIME_S, scopes=granted)


async def _token_for_person(work: Work, desk: TokenDesk, client: Client, granted: AuthorizationCode) -> AccessToken:
    issued_ms = milliseconds(work)
    return AccessToken(
        audience=desk.own_audience,
        subject=await desk.subject_of(work, granted.citizen, client.sector),
        citizen=granted.citizen,
        client_id=client.client_id,
        kind=client.kind.value,
        # What the client has lost since the citizen agreed is not handed out any more.
        scopes=granted.scopes & frozenset(client.scopes),
        acr=granted.acr,
        amr=granted.amr,
        auth_time=int(granted.auth_time.timestamp()),
        jti=str(work.new_id()),
        issued_ms=issued_ms,
        expires_s=issued_ms // 1000 + OWN_LIFETIME_S,
    )


async def _kill_what_was_issued(work: Work, client: Client, granted: AuthorizationCode) -> None:
    if granted.spent_on is None:
        return
    jti, issued_ms = granted.spent_on.jti, granted.spent_on.issued_ms
    await RevocationStore(work.session).revoke(jti, max(milliseconds(work), issued_ms) + 1)
    details = {"jti": jti, "reason": "its authorization code was used again", "client": client.client_id}
    work.record(Fact(topic=REVOKED, key=str(granted.citizen), details=details))


def _id_token(desk: TokenDesk, token: AccessToken, granted: AuthorizationCode) -> str:
    issued_s = token.issued_ms // 1000
    claims: dict[str, object] = {
        "sub": token.subject,
        "aud": token.client_id,
        "iat": issued_s,
        "exp": issued_s + OWN_LIFETIME_S,
        "auth_time": token.auth_time,
        "acr": token.acr,
        "amr": list(token.amr),
    }
    if granted.nonce is not None:
        claims["nonce"] = granted.nonce
    return desk.smith.sign_id_token(claims)
