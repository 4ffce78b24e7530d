"""GET and POST /oauth/authorize: where clients send citizens, and where the pages send their forms.

Invariant: a form is worth something only with the cookie of the browser that began (no other site can send it), and
what a browser holds is out of reach for scripts and, when we are served by https, for plain connections.
"""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from chassis.internal_tokens import Caller
from chassis.web.guard import TheCaller, TheWorkshop
from chassis.work import Fact, Workshop
from identity_svc.signin.api.pages import NO_WAY_BACK, TOO_MANY, message_page, step_page
from identity_svc.signin.domain.requests import NoWayBack
from identity_svc.signin.domain.sign_ins import SESSION_LIFETIME, SIGN_IN_LIFETIME, Step
from identity_svc.signin.use_cases.beginning import begin_anew, begin_sign_in, leave
from identity_svc.signin.use_cases.desk import (
    REFUSED,
    Ask,
    Finished,
    Note,
    Outcome,
    SignInDesk,
    Ticket,
    TooManySignIns,
    locked,
)
from identity_svc.signin.use_cases.steps import enter_code, enter_number, open_face_check, return_from_face
from identity_svc.tokens.api.forms import Form, read_form
from identity_svc.tokens.domain.refusals import InvalidRequest

router = APIRouter(tags=["Sign-in"])

SIGN_IN_COOKIE: Final = "onecard-sign-in"
SESSION_COOKIE: Final = "onecard-session"
_COOKIE_PATH: Final = "/oauth"
_TOLD: Final = (
    ("client_id", True, "The registered client."),
    ("redirect_uri", True, "One of its registered addresses, letter by letter."),
    ("response_type", True, "code"),
    ("scope", True, "Space-separated; openid for an id token."),
    ("code_challenge", True, "PKCE (RFC 7636)."),
    ("code_challenge_method", True, "S256"),
    ("state", False, "Comes back as it is."),
    ("nonce", False, "Stands in the id token."),
    ("acr_values", False, "urn:onecard:acr:real-name or urn:onecard:acr:real-person (a face check)."),
    ("prompt", False, "login: sign in anew; none: no page, an error instead."),
    ("max_age", False, "Seconds since the citizen signed in, at most."),
)
_DOCUMENT: Final[dict[str, Any]] = {
    "parameters": [
        {"name": name, "in": "query", "required": needed, "description": words, "schema": {"type": "string"}}
        for name, needed, words in _TOLD
    ]
}
_FORM_DOCUMENT: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["sign_in", "step"],
                    "properties": {
                        "sign_in": {"type": "string", "description": "As in the page before."},
                        "step": {"type": "string", "description": "number, code, face, restart or leave"},
                        "document_number": {"type": "string"},
                        "code": {"type": "string"},
                    },
                }
            }
        },
    }
}


def desk_of(request: Request) -> SignInDesk:
    """Return the desk of the app that answers this request."""
    desk: SignInDesk = request.app.state.sign_in_desk
    return desk


TheDesk = Annotated[SignInDesk, Depends(desk_of)]


@router.get("/oauth/authorize", operation_id="identity.authorize", response_class=HTMLResponse, openapi_extra=_DOCUMENT)
async def authorize(request: Request, workshop: TheWorkshop, caller: TheCaller, desk: TheDesk) -> Response:
    """Begin a citizen's sign-in for a client, or come back to it from the face check."""
    session_cookie = request.cookies.get(SESSION_COOKIE)
    try:
        outcome: Outcome
        if request.query_params.get("continue") == "face":
            cookie = request.cookies.get(SIGN_IN_COOKIE, "")
            result = request.query_params.get("face_result")
            outcome = await return_from_face(desk, workshop, caller, cookie, result, session_cookie)
        else:
            async with workshop.begin(caller) as work:
                outcome = await begin_sign_in(desk, work, request.query_params.multi_items(), session_cookie)
    except NoWayBack:
        return await _no_way_back(workshop, caller)
    return await _answer(desk, workshop, caller, outcome)


@router.post(
    "/oauth/authorize",
    operation_id="identity.authorize_step",
    response_class=HTMLResponse,
    openapi_extra=_FORM_DOCUMENT,
)
async def authorize_step(request: Request, workshop: TheWorkshop, caller: TheCaller, desk: TheDesk) -> Response:
    """Take the next step of a sign-in: what the form of the page before sends."""
    try:
        form = await read_form(request)
        outcome = await _take_step(request, workshop, caller, desk, form)
    except (NoWayBack, InvalidRequest):
        return await _no_way_back(workshop, caller)
    except TooManySignIns as many:
        return message_page(TOO_MANY, 429, **{"Retry-After": str(many.retry_after_s)})
    return await _answer(desk, workshop, caller, outcome)


async def _take_step(request: Request, workshop: Workshop, caller: Caller, desk: SignInDesk, form: Form) -> Outcome:
    try:
        ticket = Ticket(UUID(form.need("sign_in")), request.cookies.get(SIGN_IN_COOKIE, ""))
    except ValueError:
        raise NoWayBack from None
    # Only the gateway can set this header: everything that reaches us has passed its guard.
    network = request.headers.get("onecard-network", "unknown")[:64]
    step = form.need("step")
    if step == "number":
        return await enter_number(desk, workshop, caller, ticket, form.get("document_number") or "", network)
    async with workshop.begin(caller) as work:
        match step:
            case "code":
                session_cookie = request.cookies.get(SESSION_COOKIE)
                return await enter_code(desk, work, ticket, form.get("code") or "", network, session_cookie)
            case "face":
                return Ask(sign_in=await locked(work, ticket))
            case "restart":
                return await begin_anew(work, ticket)
            case "leave":
                return await leave(desk, work, ticket)
    raise NoWayBack


async def _answer(desk: SignInDesk, workshop: Workshop, caller: Caller, outcome: Outcome) -> Response:
    if isinstance(outcome, Finished):
        redirect = RedirectResponse(outcome.address, 303, headers={"Cache-Control": "no-store"})
        if outcome.session_cookie is not None:
            _set_cookie(desk, redirect, SESSION_COOKIE, outcome.session_cookie, SESSION_LIFETIME.total_seconds())
            redirect.delete_cookie(SIGN_IN_COOKIE, path=_COOKIE_PATH)
        return redirect
    cookie = outcome.cookie
    needs_check = outcome.sign_in.step is Step.FACE and outcome.sign_in.face_url is None
    if needs_check and outcome.note in (None, Note.FACE_FAILED, Note.FACE_CANCELLED):
        opened = await open_face_check(desk, workshop, caller, outcome.sign_in)
        if isinstance(opened, Ask):
            outcome = Ask(sign_in=opened.sign_in, note=opened.note or outcome.note)
    page = step_page(outcome) if isinstance(outcome, Ask) else message_page(NO_WAY_BACK, 400)
    if cookie is not None:
        _set_cookie(desk, page, SIGN_IN_COOKIE, cookie, SIGN_IN_LIFETIME.total_seconds())
    return page


def _set_cookie(desk: SignInDesk, response: Response, name: str, value: str, age_s: float) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(age_s),
        path=_COOKIE_PATH,
        secure=desk.issuer.startswith("https:"),
        httponly=True,
        samesite="lax",
    )


async def _no_way_back(workshop: Workshop, caller: Caller) -> Response:
    async with workshop.begin(caller) as work:
        work.record(Fact(topic=REFUSED, key="anonymous", details={"why": "no way back"}, denial=True))
    return message_page(NO_WAY_BACK, 400)
