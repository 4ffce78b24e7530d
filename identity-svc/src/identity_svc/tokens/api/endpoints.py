"""POST /oauth/token, /oauth/introspect and /oauth/revoke.

Invariant: what these endpoints answer is never stored by anyone on the way, and each refusal stands in the journal.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from chassis.internal_tokens import Caller
from chassis.web.guard import TheCaller, TheWorkshop, operation_of
from chassis.work import Fact, Work, Workshop
from identity_svc.clients.domain import Client
from identity_svc.tokens.api.documents import INTROSPECT_DOCUMENT, REVOKE_DOCUMENT, TOKEN_DOCUMENT
from identity_svc.tokens.api.forms import Form, authenticate, read_form
from identity_svc.tokens.domain.refusals import InvalidRequest, OAuthRefusal, UnsupportedGrantType, UnsupportedTokenType
from identity_svc.tokens.use_cases.checking import REFUSED, introspect, revoke
from identity_svc.tokens.use_cases.desk import TokenDesk
from identity_svc.tokens.use_cases.exchanging import exchange
from identity_svc.tokens.use_cases.issuing import Issued, issue_to_client, redeem_code

router = APIRouter(tags=["OAuth"])

ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
_NOT_STORED: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}

Grant = Callable[[Work, TokenDesk, Client, Form], Awaitable[Issued | OAuthRefusal]]


def desk_of(request: Request) -> TokenDesk:
    """Return the desk of the app that answers this request."""
    desk: TokenDesk = request.app.state.token_desk
    return desk


TheDesk = Annotated[TokenDesk, Depends(desk_of)]


async def _by_code(work: Work, desk: TokenDesk, client: Client, form: Form) -> Issued | OAuthRefusal:
    return await redeem_code(
        work,
        desk,
        client,
        code=form.need("code"),
        redirect_uri=form.need("redirect_uri"),
        verifier=form.need("code_verifier"),
    )


async def _by_own_right(work: Work, desk: TokenDesk, client: Client, form: Form) -> Issued | OAuthRefusal:
    return await issue_to_client(work, desk, client, form.scopes())


async def _by_exchange(work: Work, desk: TokenDesk, client: Client, form: Form) -> Issued | OAuthRefusal:
    if form.get("requested_token_type") not in (None, ACCESS_TOKEN):
        raise UnsupportedTokenType("Only access tokens are issued here.")
    if form.need("subject_token_type") != ACCESS_TOKEN:
        raise UnsupportedTokenType("The subject_token_type is not the one of an access token.")
    actor_token = form.get("actor_token")
    if (actor_token is None) != (form.get("actor_token_type") is None):
        raise InvalidRequest("actor_token and actor_token_type stand together or not at all.")
    if actor_token is not None and form.get("actor_token_type") != ACCESS_TOKEN:
        raise UnsupportedTokenType("The actor_token_type is not the one of an access token.")
    return await exchange(
        work,
        desk,
        client,
        subject_token=form.need("subject_token"),
        actor_token=actor_token,
        audience=form.audience(),
        scopes=form.scopes(),
    )


GRANTS: Final[Mapping[str, Grant]] = {
    "authorization_code": _by_code,
    "client_credentials": _by_own_right,
    "urn:ietf:params:oauth:grant-type:token-exchange": _by_exchange,
}


@router.post("/oauth/token", operation_id="identity.token", response_class=JSONResponse, openapi_extra=TOKEN_DOCUMENT)
async def token(request: Request, workshop: TheWorkshop, caller: TheCaller, desk: TheDesk) -> Response:
    """Issue an access token for an authorization code, for a client itself, or for another access token."""

    async def answer(work: Work, client: Client, form: Form) -> Response | OAuthRefusal:
        grant = GRANTS.get(form.need("grant_type"))
        if grant is None:
            raise UnsupportedGrantType("This grant is not known here.")
        issued = await grant(work, desk, client, form)
        return issued if isinstance(issued, OAuthRefusal) else _token_answer(issued)

    return await _answered(request, workshop, caller, desk, answer)


@router.post(
    "/oauth/introspect",
    operation_id="identity.introspect",
    response_class=JSONResponse,
    openapi_extra=INTROSPECT_DOCUMENT,
)
async def introspect_token(request: Request, workshop: TheWorkshop, caller: TheCaller, desk: TheDesk) -> Response:
    """Say whether a token is live and what it says; `active: false` also for those who have no business with it."""

    async def answer(work: Work, client: Client, form: Form) -> Response | OAuthRefusal:
        return JSONResponse(await introspect(work, desk, client, form.need("token")), headers=_NOT_STORED)

    return await _answered(request, workshop, caller, desk, answer)


@router.post("/oauth/revoke", operation_id="identity.revoke", response_class=Response, openapi_extra=REVOKE_DOCUMENT)
async def revoke_token(request: Request, workshop: TheWorkshop, caller: TheCaller, desk: TheDesk) -> Response:
    """Make a token of this client worthless, and all that was exchanged from it; 200 whatever the token was."""

    async def answer(work: Work, client: Client, form: Form) -> Response | OAuthRefusal:
        await revoke(work, desk, client, form.need("token"))
        return Response(status_code=200, headers=_NOT_STORED)

    return await _answered(request, workshop, caller, desk, answer)


async def _answered(
    request: Request,
    workshop: Workshop,
    caller: Caller,
    desk: TokenDesk,
    answer: Callable[[Work, Client, Form], Awaitable[Response | OAuthRefusal]],
) -> Response:
    """Answer in one Work; a refusal is written down by a second one, after the rollback of the first."""
    client: Client | None = None
    try:
        form = await read_form(request)
        async with workshop.begin(caller) as work:
            client = await authenticate(work, desk, request, form)
            outcome = await answer(work, client, form)
    except OAuthRefusal as refusal:
        outcome = refusal
    if not isinstance(outcome, OAuthRefusal):
        return outcome
    details = {"operation": operation_of(request), "error": outcome.error, "why": outcome.description}
    async with workshop.begin(caller) as work:
        key = client.client_id if client else "anonymous"
        work.record(Fact(topic=REFUSED, key=key, details=details, denial=True))
    return _refusal_answer(request, outcome)


def _token_answer(issued: Issued) -> Response:
    body: dict[str, Any] = {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in_s,
        "scope": " ".join(sorted(issued.scopes)),
    }
    if issued.id_token is not None:
        body["id_token"] = issued.id_token
    if issued.was_exchanged:
        body["issued_token_type"] = ACCESS_TOKEN
    return JSONResponse(body, headers=_NOT_STORED)


def _refusal_answer(request: Request, refusal: OAuthRefusal) -> Response:
    headers = dict(_NOT_STORED)
    if refusal.status == 401 and "authorization" in request.headers:
        headers["WWW-Authenticate"] = 'Basic realm="one-card", charset="UTF-8"'
    return JSONResponse(
        {"error": refusal.error, "error_description": refusal.description}, status_code=refusal.status, headers=headers
    )
