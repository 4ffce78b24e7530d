"""Renders the pages: a strict content policy, no asset from elsewhere, and one script for the countdown."""

import secrets
from pathlib import Path
from typing import Any

import segno
from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from ecard.words import CARD_STATES, USE_STATES, local_clock, local_time, yuan

FOLDER = Path(__file__).parent / "templates"

_jinja = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_jinja.globals.update(CARD_STATES=CARD_STATES, USE_STATES=USE_STATES)
_jinja.filters.update(yuan=yuan, local_time=local_time, local_clock=local_clock)
_STYLE = Markup((FOLDER / "style.css").read_text("utf-8"))
_SCRIPT = Markup((FOLDER / "countdown.js").read_text("utf-8"))


class Pages:
    """Renders; `issuer` is where a form may lead besides this page itself, when somebody has to sign in again."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def render(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """Return a page that no cache keeps and that may load nothing."""
        nonce = secrets.token_urlsafe(16)
        context.setdefault("note", None)
        body = _jinja.get_template(template).render(style=_STYLE, script=_SCRIPT, nonce=nonce, **context)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}';"
            f" img-src data:; form-action 'self' {self._issuer}; frame-ancestors 'none'; base-uri 'none'"
        )
        headers = {
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(body, status_code=status, media_type="text/html", headers=headers)


def qr_picture(text: str) -> Markup:
    """Draw a QR symbol as inline SVG: error correction M, a quiet zone of four modules, black on white."""
    symbol = segno.make(text, error="m", micro=False)
    drawn = symbol.svg_inline(scale=1, border=4, dark="#000", light="#fff", omitsize=True)
    return Markup(drawn)
