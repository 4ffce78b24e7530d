"""The card's pages: as it stands, its code, its uses, and what a citizen can do with it."""

import secrets
from datetime import datetime
from typing import Annotated, Final

from fastapi import Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from ecard.access import FormSession, PerhapsSession, ThePages, ThePlatform, TheSession, fresh_session
from ecard.calls import Refused, SignInAgain, StrongerSignInNeeded
from ecard.pages import Pages, qr_picture
from ecard.platform import STEPS, Platform
from ecard.sessions import Session, SignIn
from ecard.signing_in import send_to_issuer

ROUNDS_MAX: Final = 4
"""How often a code is replaced by itself: a phone that was put down stops showing codes after about four minutes."""


async def show_card_or_greeting(pages: ThePages, platform: ThePlatform, found: PerhapsSession) -> Response:
    """The card of whoever is signed in; a greeting for everybody else."""
    if found is None:
        return pages.render("welcome.html")
    return await _show_card(pages, platform, fresh_session(found))


async def _show_card(
    pages: Pages, platform: Platform, session: Session, *, status: int = 200, note: dict[str, str] | None = None
) -> Response:
    card = await platform.card(session)
    key = secrets.token_urlsafe(16)
    return pages.render("card.html", status=status, card=card, csrf=session.csrf, key=key, note=note)


async def show_code(
    pages: ThePages,
    platform: ThePlatform,
    session: TheSession,
    turn: Annotated[int, Query(alias="round", ge=0, le=ROUNDS_MAX)] = 0,
) -> Response:
    """A fresh code as a QR symbol and as text."""
    card = await platform.card(session)
    if card is None:
        return RedirectResponse("/", 303)
    try:
        made = await platform.code(session, card["card"])
    except Refused as refused:
        return await _show_card(pages, platform, session, status=409, note=refused.show)
    # From the answer alone: this machine's clock, and the phone's, may be wrong.
    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["issued_at"])
    return pages.render(
        "code.html",
        code=made["code"],
        picture=qr_picture(made["code"]),
        until=made["expires_at"],
        seconds=int(lasts.total_seconds()),
        next=f"/code?round={turn + 1}" if turn < ROUNDS_MAX else "",
    )


async def show_uses(pages: ThePages, platform: ThePlatform, session: TheSession) -> Response:
    """Where the card was used lately."""
    return pages.render("uses.html", uses=await platform.uses(session), names=await platform.scenarios(session))


async def confirm_loss(pages: ThePages, session: TheSession) -> Response:
    """Ask once more before the card is stopped."""
    return pages.render("lost.html", csrf=session.csrf, key=secrets.token_urlsafe(16))


async def take_step(
    step: str,
    request: Request,
    pages: ThePages,
    platform: ThePlatform,
    found: FormSession,
    key: Annotated[str, Form(pattern=r"^[A-Za-z0-9_-]{10,100}$")],
) -> Response:
    """Apply, enable, report loss, recover; when the sign-in is too old or too weak, sign in first and then do it."""
    if step not in STEPS:
        raise HTTPException(404)
    pressed = SignIn(step=step, key=key, subject=found.subject)
    try:
        await platform.take_step(fresh_session(found), step, key)
    except Refused as refused:
        return await _show_card(pages, platform, found, status=409, note=refused.show)
    except SignInAgain:
        return await send_to_issuer(request, pressed)
    except StrongerSignInNeeded as needed:
        return await send_to_issuer(request, pressed, needed.acr)
    return RedirectResponse("/", 303)
