"""End a sign-in: a code for the client, a session for the browser."""

import secrets
from dataclasses import replace

from chassis.work import Fact, Work
from identity_svc.signin.domain.requests import AuthorizationRequest
from identity_svc.signin.domain.sign_ins import Session, SignIn, Step
from identity_svc.signin.store import SessionStore, SignInStore
from identity_svc.signin.use_cases.desk import Finished, SignInDesk, hash_of, new_secret
from identity_svc.tokens.domain.codes import AuthorizationCode
from identity_svc.tokens.store import CodeStore

SIGNED_IN = "identity.sign_in.completed.v1"


async def finish(desk: SignInDesk, work: Work, sign_in: SignIn, session_cookie: str | None) -> Finished:
    """Give the browser a new session and the client its code; the session before, if any, is over."""
    if sign_in.step is not Step.DONE or not (sign_in.citizen and sign_in.acr and sign_in.verified_at):
        raise ValueError("the sign-in is not at its end")
    session = Session(
        citizen=sign_in.citizen,
        acr=sign_in.acr,
        amr=sign_in.amr,
        auth_time=sign_in.verified_at,
        created_at=work.now,
        used_at=work.now,
    )
    sessions, cookie = SessionStore(work.session), new_secret()
    if session_cookie:
        await sessions.end(hash_of(session_cookie))
    await sessions.add(hash_of(cookie), session)
    await SignInStore(work.session).save(close(sign_in))
    return Finished(address=await issue_code(desk, work, sign_in.request, session), session_cookie=cookie)


async def issue_code(desk: SignInDesk, work: Work, request: AuthorizationRequest, session: Session) -> str:
    """Make an authorization code and return the client's address with it."""
    code = secrets.token_urlsafe(32)
    stands_for = AuthorizationCode(
        client_id=request.client_id,
        redirect_uri=request.redirect_uri,
        challenge=request.challenge,
        nonce=request.nonce,
        scopes=frozenset(request.scopes),
        citizen=session.citizen,
        acr=session.acr,
        amr=session.amr,
        auth_time=session.auth_time,
        created_at=work.now,
    )
    await CodeStore(work.session).add(code, stands_for)
    details = {"client": request.client_id, "acr": session.acr, "scope": " ".join(request.scopes)}
    work.record(Fact(topic=SIGNED_IN, key=str(session.citizen), details=details))
    return request.address(desk.issuer, code=code)


def close(sign_in: SignIn) -> SignIn:
    """No step is left; neither the page nor the cookie opens it again."""
    return replace(sign_in, step=Step.DONE, code_hash=None, face_url=None)
