"""Begin a sign-in, or end it at once: with a session, with an error for the client, or because the citizen leaves."""

from chassis.work import Fact, Work
from identity_svc.clients.use_cases import find_active_client
from identity_svc.signin.domain.requests import (
    AuthorizationRequest,
    NoWayBack,
    Parameters,
    RequestRefused,
    WayBack,
    named_client,
    read_request,
    way_back,
)
from identity_svc.signin.domain.sign_ins import Session, begin, start_over, step_up
from identity_svc.signin.store import SessionStore, SignInStore
from identity_svc.signin.use_cases.desk import (
    REFUSED,
    Ask,
    Finished,
    Outcome,
    SignInDesk,
    Ticket,
    hash_of,
    locked,
    new_secret,
    refused,
)
from identity_svc.signin.use_cases.finishing import close, issue_code
from identity_svc.tokens.domain.assurance import reaches
from identity_svc.tokens.store import RevocationStore


async def begin_sign_in(desk: SignInDesk, work: Work, parameters: Parameters, session_cookie: str | None) -> Outcome:
    """Begin, or finish silently with the browser's session (SSO). Raises NoWayBack."""
    client_id, _ = named_client(parameters)
    client = await find_active_client(work.session, client_id)
    back = way_back(parameters, client)
    if client is None:
        raise NoWayBack
    try:
        request = read_request(parameters, back, client)
    except RequestRefused as refusal:
        return _refuse(desk, work, back, refusal.error, refusal.description)
    session = await _living_session(work, session_cookie) if session_cookie else None
    if session is not None and not session.serves(request, work.now):
        session = None
    if session is not None and session_cookie and reaches(session.acr, request.acr):
        await SessionStore(work.session).use(hash_of(session_cookie), work.now)
        return Finished(address=await issue_code(desk, work, request, session))
    if request.prompt == "none":
        error = "interaction_required" if session else "login_required"
        return _refuse(desk, work, back, error, "The citizen has to do something first.")
    return await _ask(work, request, session)


async def _ask(work: Work, request: AuthorizationRequest, session: Session | None) -> Outcome:
    cookie = new_secret()
    sign_in = begin(work.new_id(), hash_of(cookie), request, work.now)
    if session is not None:
        sign_in = step_up(sign_in, session)
    await SignInStore(work.session).add(sign_in)
    return Ask(sign_in=sign_in, cookie=cookie)


async def begin_anew(work: Work, ticket: Ticket) -> Outcome:
    """Go back to the document number. Raises NoWayBack."""
    sign_in = start_over(await locked(work, ticket))
    await SignInStore(work.session).save(sign_in)
    return Ask(sign_in=sign_in)


async def leave(desk: SignInDesk, work: Work, ticket: Ticket) -> Outcome:
    """The citizen does not want to; the client is told so. Raises NoWayBack."""
    sign_in = await locked(work, ticket)
    work.record(refused(sign_in, "the citizen left"))
    await SignInStore(work.session).save(close(sign_in))
    return Finished(address=sign_in.request.address(desk.issuer, error="access_denied"))


async def _living_session(work: Work, cookie: str) -> Session | None:
    session = await SessionStore(work.session).find(hash_of(cookie))
    if session is None or not session.lives(work.now):
        return None
    named = ((f"person:{session.citizen}", int(session.auth_time.timestamp() * 1000)),)
    return None if await RevocationStore(work.session).kills(named) else session


def _refuse(desk: SignInDesk, work: Work, back: WayBack, error: str, description: str) -> Outcome:
    details = {"error": error, "why": description}
    work.record(Fact(topic=REFUSED, key=back.client_id, details=details, denial=True))
    return Finished(address=back.address(desk.issuer, error=error, error_description=description))
