"""What every route asks for: the parts of the app, the session, and that a form is the session's own."""

import hmac
import time
from typing import Annotated

from fastapi import Depends, Form, Request, Response

from ecard import sessions
from ecard.calls import SignInAgain
from ecard.issuer import Issuer
from ecard.pages import Pages
from ecard.platform import Platform
from ecard.sessions import Sealer, Session, SignIn


class FormNotOurs(Exception):
    """The form was not made for this session: another site's, or one of somebody who signed out since."""


def sealer_of(request: Request) -> Sealer:
    """What seals the cookies."""
    sealer: Sealer = request.app.state.sealer
    return sealer


def issuer_of(request: Request) -> Issuer:
    """Where citizens sign in."""
    issuer: Issuer = request.app.state.issuer
    return issuer


def platform_of(request: Request) -> Platform:
    """One Card's API."""
    platform: Platform = request.app.state.platform
    return platform


def pages_of(request: Request) -> Pages:
    """What renders the pages."""
    pages: Pages = request.app.state.pages
    return pages


def session_or_none(request: Request) -> Session | None:
    """The session of this phone, also one whose token has ended."""
    return sealer_of(request).session(request.cookies.get(sessions.SESSION_COOKIE))


ThePages = Annotated[Pages, Depends(pages_of)]
ThePlatform = Annotated[Platform, Depends(platform_of)]
TheIssuer = Annotated[Issuer, Depends(issuer_of)]
PerhapsSession = Annotated[Session | None, Depends(session_or_none)]


def fresh_session(found: PerhapsSession) -> Session:
    """The session with a token that is still good; raises SignInAgain."""
    if found is None or not found.is_fresh(time.time()):
        raise SignInAgain
    return found


TheSession = Annotated[Session, Depends(fresh_session)]


def form_session(found: PerhapsSession, csrf: Annotated[str, Form(max_length=100)] = "") -> Session:
    """The session that a form was made for, whose token may have ended meanwhile; raises FormNotOurs, SignInAgain."""
    if found is None:
        raise SignInAgain
    if not hmac.compare_digest(found.csrf.encode(), csrf.encode()):
        raise FormNotOurs
    return found


FormSession = Annotated[Session, Depends(form_session)]


def keep_cookie(request: Request, answer: Response, name: str, value: Session | SignIn | None) -> None:
    """Set a cookie that no script reads and no other site's form sends; None sets a bare mark."""
    text = "1" if value is None else sealer_of(request).seal(name, value)
    secure = request.app.state.settings.ecard_url.startswith("https:")
    answer.set_cookie(name, text, max_age=sessions.LIFE_S[name], httponly=True, samesite="lax", secure=secure)
