"""Signing in, coming back, signing out.

Invariant: whoever comes back gets a session only in the browser that was sent away; what they had pressed before is
done then, once, and only for the same person.
"""

import hmac
from dataclasses import replace
from typing import Annotated, Final

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse

from ecard import sessions
from ecard.access import (
    FormSession,
    PerhapsSession,
    TheIssuer,
    ThePages,
    ThePlatform,
    issuer_of,
    keep_cookie,
    sealer_of,
)
from ecard.calls import Refused, SignInAgain, StrongerSignInNeeded
from ecard.issuer import Issuer, SignInFailed
from ecard.platform import Platform
from ecard.sessions import Session, SignIn

PLACES: Final = frozenset({"/", "/code", "/uses", "/lost"})
NOT_FINISHED: Final = {
    "zh": "登录未完成，请重新登录。",
    "en": "The sign-in was not finished. Please sign in again.",
}
NOT_DONE: Final = {"zh": "操作未完成，请再试一次。", "en": "That was not done. Please try again."}


async def send_to_issuer(request: Request, begun: SignIn, acr: str = "") -> Response:
    """Send the browser to sign in; it finds the way back by the sealed cookie."""
    anew = sessions.LEFT_COOKIE in request.cookies
    answer = RedirectResponse(await issuer_of(request).authorize_url(begun, acr=acr, anew=anew), 303)
    keep_cookie(request, answer, sessions.SIGN_IN_COOKIE, begun)
    return answer


async def sign_in(
    request: Request,
    then: Annotated[str, Query(max_length=20)] = "/",
    acr: Annotated[str, Query(pattern=r"^(urn:onecard:acr:[a-z-]{1,40})?$")] = "",
) -> Response:
    """Sign in, and come back to one of this page's places."""
    return await send_to_issuer(request, SignIn(then=then if then in PLACES else "/"), acr)


async def callback(
    request: Request,
    pages: ThePages,
    platform: ThePlatform,
    issuer: TheIssuer,
    before: PerhapsSession,
    state: Annotated[str, Query(max_length=100)] = "",
    code: Annotated[str, Query(max_length=512)] = "",
    iss: Annotated[str, Query(max_length=512)] = "",
) -> Response:
    """The browser comes back from the issuer."""
    begun = sealer_of(request).sign_in(request.cookies.get(sessions.SIGN_IN_COOKIE))
    try:
        session = await _redeem(issuer, begun, state=state, code=code, iss=iss)
    except SignInFailed:
        # Whoever only turned back from a face check is still signed in as before.
        answer = pages.render("message.html" if before else "welcome.html", status=400, note=NOT_FINISHED)
        answer.delete_cookie(sessions.SIGN_IN_COOKIE)
        return answer
    assert begun is not None
    if before is not None and before.subject == session.subject:
        session = replace(session, csrf=before.csrf)  # pages that are still open go on working
    answer = await _do_what_was_pressed(pages, platform, begun, session)
    keep_cookie(request, answer, sessions.SESSION_COOKIE, session)
    answer.delete_cookie(sessions.SIGN_IN_COOKIE)
    answer.delete_cookie(sessions.LEFT_COOKIE)
    return answer


async def _redeem(issuer: Issuer, begun: SignIn | None, *, state: str, code: str, iss: str) -> Session:
    if begun is None or not hmac.compare_digest(begun.state.encode(), state.encode()):
        raise SignInFailed
    issuer.check_issuer(iss)
    if not code:
        raise SignInFailed
    return await issuer.redeem(begun, code)


async def _do_what_was_pressed(pages: ThePages, platform: Platform, begun: SignIn, session: Session) -> Response:
    if begun.step and begun.subject == session.subject:
        try:
            await platform.take_step(session, begun.step, begun.key)
        except Refused as refused:
            return pages.render("message.html", status=409, note=refused.show)
        except (SignInAgain, StrongerSignInNeeded):
            return pages.render("message.html", status=403, note=NOT_DONE)
    return RedirectResponse(begun.then, 303)


async def sign_out(request: Request, session: FormSession, issuer: TheIssuer) -> Response:
    """Forget the session on this phone, and let its token die."""
    await issuer.revoke(session.token)
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(sessions.SESSION_COOKIE)
    keep_cookie(request, answer, sessions.LEFT_COOKIE, None)
    return answer
