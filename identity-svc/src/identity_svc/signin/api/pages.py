"""The sign-in pages: plain HTML in Chinese and English, without script, picture or anything from elsewhere.

Invariant: no page is stored, framed or able to load anything; its form leads to us and, from there, to the address that
the client has registered, and nowhere else.
"""

import base64
import hashlib
from typing import Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from identity_svc.signin.domain.sign_ins import Step
from identity_svc.signin.use_cases.desk import Ask, Note

_PAGES: Final = Environment(
    loader=PackageLoader("identity_svc.signin"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_STYLE: Final = Markup(_PAGES.get_template("style.css").render())
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_PAGE_OF_STEP: Final = {Step.NUMBER: "number.html", Step.CODE: "code.html", Step.FACE: "face.html"}

Words = tuple[str, str]
"""Chinese, English."""

NOTES: Final[dict[Note, Words]] = {
    Note.NUMBER_INVALID: (
        "这不是有效的身份证号码，请检查后重新输入。",
        "This is not a valid ID number. Please check it and enter it again.",
    ),
    Note.CODE_WRONG: ("验证码不正确，请重新输入。", "The code is not right. Please enter it again."),
    Note.CODE_OVER: ("验证码已过期，请重新获取。", "The code has expired. Please ask for a new one."),
    Note.TRIES_OVER: ("错误次数过多，请重新开始。", "Too many tries. Please start again."),
    Note.FACE_FAILED: ("人脸识别未通过，请再试一次。", "The face check did not succeed. Please try again."),
    Note.FACE_CANCELLED: ("您取消了人脸识别。", "The face check was cancelled."),
    Note.FACE_DOWN: (
        "人脸识别暂时无法使用，请稍后再试。",
        "The face check is not available right now. Please try again in a moment.",
    ),
}
NO_WAY_BACK: Final[Words] = (
    "此登录链接无效或已过期。请回到您使用的应用，重新登录。",
    "This sign-in link is not valid or has expired. Please go back to your app and sign in again.",
)
TOO_MANY: Final[Words] = ("操作过于频繁，请稍后再试。", "Too many tries. Please wait a few minutes.")


def step_page(ask: Ask) -> HTMLResponse:
    """Show what the citizen is to do next; 422 when the step before was not accepted."""
    sign_in = ask.sign_in
    if sign_in.step is Step.DONE:
        return message_page(NO_WAY_BACK, 400)
    html = _PAGES.get_template(_PAGE_OF_STEP[sign_in.step]).render(
        style=_STYLE,
        sign_in_id=sign_in.id,
        client_name=sign_in.request.client_name,
        note=NOTES[ask.note] if ask.note else None,
        face_url=sign_in.face_url,
    )
    return _page(html, _status(ask.note), f"'self' {sign_in.request.origin}")


def _status(note: Note | None) -> int:
    if note is None:
        return 200
    return 503 if note is Note.FACE_DOWN else 422


def message_page(words: Words, status: int, **headers: str) -> HTMLResponse:
    """Show a sentence and nothing to do."""
    html = _PAGES.get_template("message.html").render(style=_STYLE, note=words)
    return _page(html, status, "'none'", **headers)


def _page(html: str, status: int, form_action: str, **headers: str) -> HTMLResponse:
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {form_action};"
        " base-uri 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(html, status, headers=_HEADERS | {"Content-Security-Policy": policy} | headers)
