"""The e-card page put together: its routes, and what a citizen sees when something is in the way.

Invariant: whoever is not signed in is sent to the issuer and comes back to where they were, but never round in
circles; nothing that goes wrong shows anything but two plain sentences.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlencode

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from chassis.crypto.fields import FieldKeys
from chassis.keys import KeyFolder
from ecard import cards, signing_in
from ecard.access import FormNotOurs, pages_of, session_or_none
from ecard.calls import BUSY, Calls, Refused, SignInAgain, StrongerSignInNeeded
from ecard.issuer import Issuer
from ecard.pages import Pages
from ecard.platform import Platform
from ecard.sessions import Sealer
from ecard.settings import NotRegisteredYet, Settings

BODY_LIMIT: Final = 20_000
CIRCLE_S: Final = 20
"""A session that is younger and yet no good will not get better by signing in once more."""
NOT_REGISTERED: Final = {
    "zh": "本页面尚未注册，请稍后再试。",
    "en": "This page is not registered yet. Please try again soon.",
}
FORM_TOO_OLD: Final = {
    "zh": "此页面已过期，请返回后再试一次。",
    "en": "This page is too old. Please go back and try again.",
}
NO_SUCH_PAGE: Final = {"zh": "没有这个页面。", "en": "There is no such page."}
NOT_UNDERSTOOD: Final = {
    "zh": "请求有误，请返回后再试一次。",
    "en": "That was not understood. Please go back and try again.",
}

Handler = Callable[[Request, Exception], Awaitable[Response]]


async def _to_issuer(request: Request, why: Exception) -> Response:
    """Sign in again, or more strongly; a page comes back to itself, a form to the card."""
    found = session_or_none(request)
    acr = why.acr if isinstance(why, StrongerSignInNeeded) else ""
    if found is not None and (found.acr == acr if acr else time.time() < found.since + CIRCLE_S):
        return pages_of(request).render("message.html", status=503, note=BUSY)
    asked = {"then": request.url.path if request.method == "GET" else "/"} | ({"acr": acr} if acr else {})
    return RedirectResponse(f"/sign-in?{urlencode(asked)}", 303)


async def _in_the_way(request: Request, why: Exception) -> Response:
    match why:
        case NotRegisteredYet():
            status, note = 503, NOT_REGISTERED
        case Refused():
            status, note = 503, why.show
        case FormNotOurs():
            status, note = 403, FORM_TOO_OLD
        case HTTPException(status_code=404):
            status, note = 404, NO_SUCH_PAGE
        case HTTPException():
            status, note = why.status_code, NOT_UNDERSTOOD
        case RequestValidationError():
            status, note = 400, NOT_UNDERSTOOD
        case _:
            status, note = 500, BUSY
    return pages_of(request).render("message.html", status=status, note=note)


def create_app(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """Build the page; a test passes its own way to the API."""
    calls = Calls(settings.public_url, transport)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await calls.close()

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, max_body_size=BODY_LIMIT, lifespan=lifespan)
    app.state.settings = settings
    app.state.issuer = Issuer(settings, calls)
    app.state.platform = Platform(calls)
    app.state.pages = Pages(settings.public_url)
    app.state.sealer = Sealer(FieldKeys(KeyFolder(settings.keys).secrets("field")))
    for path, method, route in (
        ("/", "GET", cards.show_card_or_greeting),
        ("/sign-in", "GET", signing_in.sign_in),
        ("/callback", "GET", signing_in.callback),
        ("/code", "GET", cards.show_code),
        ("/uses", "GET", cards.show_uses),
        ("/lost", "GET", cards.confirm_loss),
        ("/card/{step}", "POST", cards.take_step),
        ("/sign-out", "POST", signing_in.sign_out),
    ):
        app.add_api_route(path, route, methods=[method], response_model=None)
    handlers: dict[type[Exception], Handler] = {SignInAgain: _to_issuer, StrongerSignInNeeded: _to_issuer}
    ways = (Refused, NotRegisteredYet, FormNotOurs, HTTPException, RequestValidationError, Exception)
    for exception, handler in (handlers | dict.fromkeys(ways, _in_the_way)).items():
        app.add_exception_handler(exception, handler)
    return app


async def ready() -> str | None:
    """Readiness: this page serves as long as its process runs; what it lacks it says on the page."""
    return None
