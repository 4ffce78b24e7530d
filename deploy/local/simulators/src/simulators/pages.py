"""Renders the simulators' HTML pages: no inline script or style, nothing from another host."""

from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.templating import Jinja2Templates

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
_templates = Jinja2Templates(FOLDER / "templates")
_HEADERS = {
    # Forms may go anywhere: the face check sends the browser back to the page that asked, on another origin.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
    """Render one template."""
    return _templates.TemplateResponse(request, template, context, status_code=status, headers=_HEADERS)
