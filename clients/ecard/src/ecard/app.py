"""The e-card page's routes: sign in, the card, its code, its uses, loss and recovery.

Invariant: whoever is not signed in, or not well enough, is sent to the issuer and comes back to where they were; every
form carries a token against forgery and a key, so pressing twice does one thing.
"""

import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, Form, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from chassis.crypto.fields import FieldKeys
from chassis.keys import KeyFolder
from ecard import sessions
from ecard.pages import Pages, qr_picture
from ecard.platform import BUSY, Platform, Refused, SignInAgain, StrongerSignInNeeded
from ecard.sessions import Sealer, Session, SignIn
from ecard.settings import NotRegisteredYet, Settings

STEPS: Final = frozenset({"application", "enabling", "loss-report", "recovery"})
NOT_REGISTERED: Final = {
    "zh": "本页面尚未注册,请稍后再试。",
    "en": "This page is not registered yet. Please try again soon.",
}
Handler = Callable[[Request, Exception], Awaitable[Response]]
SPARE_S: Final = 20  # a token is renewed this long before its end


def sealer_of(request: Request) -> Sealer:
    """What seals the cookies."""
    sealer: Sealer = request.app.state.sealer
    return sealer


def platform_of(request: Request) -> Platform:
    """One Card's API."""
    platform: Platform = request.app.state.platform
    return platform


def pages_of(request: Request) -> Pages:
    """What renders the pages."""
    pages: Pages = request.app.state.pages
    return pages


ThePages = Annotated[Pages, Depends(pages_of)]
TheSealer = Annotated[Sealer, Depends(sealer_of)]
ThePlatform = Annotated[Platform, Depends(platform_of)]


def session_or_none(request: Request, sealer: TheSealer) -> Session | None:
    """The session, also one whose token is about to end."""
    return sealer.session(request.cookies.get(sessions.SESSION_COOKIE))


def fresh_session(found: Annotated[Session | None, Depends(session_or_none)]) -> Session:
    """The session with a token that is still good; raises SignInAgain."""
    if found is None or found.expires_at - SPARE_S < time.time():
        raise SignInAgain
    return found


TheSession = Annotated[Session, Depends(fresh_session)]
Key = Annotated[str, Form(pattern=r"^[A-Za-z0-9_-]{10,100}$")]
Csrf = Annotated[str, Form(max_length=100)]


async def welcome(
    pages: ThePages, platform: ThePlatform, found: Annotated[Session | None, Depends(session_or_none)]
) -> Response:
    """The card of whoever is signed in; a greeting for everybody else."""
    if found is None:
        return pages.render("welcome.html")
    return await show_card(pages, platform, fresh_session(found))


async def show_card(pages: Pages, platform: Platform, session: Session, note: dict[str, str] | None = None) -> Response:
    """The page of the card as it stands."""
    cards = await platform.cards(session)
    card = cards[0] if cards else None
    return pages.render("card.html", card=card, csrf=session.csrf, key=secrets.token_urlsafe(16), note=note)


async def sign_in(
    request: Request,
    platform: ThePlatform,
    then: Annotated[str, Query(pattern=r"^/[a-z-]*$")] = "/",
    face: bool = False,
) -> Response:
    """Send the browser to the issuer."""
    begun = SignIn(then=then)
    answer = RedirectResponse(platform.authorize_url(begun, real_person=face), 303)
    keep_cookie(request, answer, sessions.SIGN_IN_COOKIE, begun)
    return answer


async def callback(
    request: Request,
    pages: ThePages,
    sealer: TheSealer,
    platform: ThePlatform,
    state: str = "",
    code: str = "",
    error: str = "",
) -> Response:
    """The browser comes back from the issuer."""
    begun = sealer.sign_in(request.cookies.get(sessions.SIGN_IN_COOKIE))
    if begun is None or not hmac.compare_digest(begun.state.encode(), state.encode()):
        return pages.render(
            "welcome.html", status=400, note={"zh": "登录已过期,请重新登录。", "en": "Please sign in again."}
        )
    if error or not code:
        return pages.render("welcome.html", note={"zh": "登录未完成。", "en": "The sign-in was not finished."})
    session = await platform.redeem(begun, code)
    answer = RedirectResponse(begun.then, 303)
    keep_cookie(request, answer, sessions.SESSION_COOKIE, session)
    answer.delete_cookie(sessions.SIGN_IN_COOKIE)
    return answer


async def show_code(pages: ThePages, platform: ThePlatform, session: TheSession) -> Response:
    """A fresh code as a QR symbol and as text."""
    cards = await platform.cards(session)
    if not cards:
        return RedirectResponse("/", 303)
    try:
        made = await platform.code(session, cards[0]["card"])
    except Refused as refused:
        return await show_card(pages, platform, session, refused.show)
    left = datetime.fromisoformat(made["expires_at"]).timestamp() - time.time()
    return pages.render(
        "code.html", code=made["code"], picture=qr_picture(made["code"]), seconds=max(0, min(60, int(left)))
    )


async def show_uses(pages: ThePages, platform: ThePlatform, session: TheSession) -> Response:
    """Where the card was used lately."""
    return pages.render("uses.html", uses=await platform.uses(session), names=await platform.scenarios(session))


async def confirm_loss(pages: ThePages, session: TheSession) -> Response:
    """Ask once more before the card is stopped."""
    return pages.render("lost.html", csrf=session.csrf, key=secrets.token_urlsafe(16))


async def take_step(
    step: str, pages: ThePages, platform: ThePlatform, session: TheSession, csrf: Csrf, key: Key
) -> Response:
    """Apply, enable, report loss, recover."""
    if step not in STEPS:
        raise HTTPException(404)
    refuse_forgery(session, csrf)
    try:
        if step == "application":
            await platform.apply(session, key)
        elif cards := await platform.cards(session):
            await platform.step(session, cards[0]["card"], step, key)
    except Refused as refused:
        return await show_card(pages, platform, session, refused.show)
    return RedirectResponse("/", 303)


async def sign_out(session: Annotated[Session | None, Depends(session_or_none)], csrf: Csrf) -> Response:
    """Forget the session on this phone."""
    if session is not None:
        refuse_forgery(session, csrf)
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(sessions.SESSION_COOKIE)
    return answer


def refuse_forgery(session: Session, csrf: str) -> None:
    """Raise SignInAgain for a form that this session was not given."""
    if not hmac.compare_digest(session.csrf.encode(), csrf.encode()):
        raise SignInAgain


def keep_cookie(request: Request, answer: Response, name: str, value: Session | SignIn) -> None:
    """Set a sealed cookie that no script reads and no other site sends."""
    sealed = sealer_of(request).seal(name, value)
    secure = request.app.state.settings.ecard_url.startswith("https:")
    answer.set_cookie(name, sealed, max_age=sessions.LIFE_S[name], httponly=True, samesite="lax", secure=secure)


async def _to_issuer(request: Request, why: Exception) -> Response:
    """Sign in again, or better; a page comes back to itself, a form to the card."""
    asked = {"then": request.url.path if request.method == "GET" else "/"}
    if isinstance(why, StrongerSignInNeeded):
        asked["face"] = "true"
    return RedirectResponse(f"/sign-in?{urlencode(asked)}", 303)


async def _refused(request: Request, refused: Exception) -> Response:
    show = NOT_REGISTERED if isinstance(refused, NotRegisteredYet) else getattr(refused, "show", BUSY)
    return pages_of(request).render("message.html", status=503, note=show)


async def _strange(request: Request, strange: Exception) -> Response:
    status = strange.status_code if isinstance(strange, HTTPException) else 400
    return pages_of(request).render(
        "message.html", status=status, note={"zh": "没有这个页面。", "en": "There is no such page."}
    )


def create_app(settings: Settings, platform: Platform | None = None) -> FastAPI:
    """Build the page."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, max_body_size=20_000)
    app.state.settings = settings
    app.state.platform = platform or Platform(settings)
    app.state.pages = Pages(settings.public_url)
    app.state.sealer = Sealer(FieldKeys(KeyFolder(settings.keys).secrets("field")))
    for path, method, route in (
        ("/", "GET", welcome),
        ("/sign-in", "GET", sign_in),
        ("/callback", "GET", callback),
        ("/code", "GET", show_code),
        ("/uses", "GET", show_uses),
        ("/lost", "GET", confirm_loss),
        ("/card/{step}", "POST", take_step),
        ("/sign-out", "POST", sign_out),
    ):
        app.add_api_route(path, route, methods=[method], response_model=None)
    handlers: dict[type[Exception], Handler] = {
        SignInAgain: _to_issuer,
        StrongerSignInNeeded: _to_issuer,
        Refused: _refused,
        NotRegisteredYet: _refused,
        HTTPException: _strange,
        RequestValidationError: _strange,
    }
    for exception, handler in handlers.items():
        app.add_exception_handler(exception, handler)
    return app
