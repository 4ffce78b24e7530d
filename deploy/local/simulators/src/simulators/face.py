"""The face check (人脸识别): a page where a person looks into the camera, and a question whether it was they.

Invariant: a result is told once, to whoever holds its reference and names the right number; a picture is never kept.
"""

import base64
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, HttpUrl, StringConstraints, model_validator

from simulators.modes import Faults, Mode, add_mode_routes, delay_answer
from simulators.pages import page
from simulators.people import magic_mode

SESSION_LIFE = timedelta(minutes=10)
SESSIONS_MAX = 10_000

Look = Literal["self", "other", "picture", "cancel"]
Number = Annotated[str, StringConstraints(min_length=18, max_length=18)]


class SessionOrder(BaseModel):
    """A request to look at the person who will come with this browser."""

    model_config = ConfigDict(extra="forbid")

    document_number: Number
    return_url: HttpUrl


class SessionMade(BaseModel):
    """Where to send the browser."""

    session_id: str
    url: str
    expires_at: datetime


class FaceQuestion(BaseModel):
    """Is it this person? By the reference that came back with the browser, or by a picture."""

    model_config = ConfigDict(extra="forbid")

    document_number: Number
    result: Annotated[str, StringConstraints(max_length=100)] | None = None
    picture: Annotated[str, StringConstraints(max_length=1_000_000)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "FaceQuestion":
        if (self.result is None) == (self.picture is None):
            raise ValueError("give either result or picture")
        return self


class FaceAnswer(BaseModel):
    """Whether the face is that person's, and whether it was a living face."""

    match: bool
    live: bool


@dataclass
class Session:
    """One browser on its way through the face check."""

    document_number: str
    return_url: str
    expires_at: datetime
    done: bool = False


class FaceChecks:
    """Sessions that wait for a look, and results that wait to be fetched."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._results: OrderedDict[str, tuple[str, datetime, FaceAnswer]] = OrderedDict()

    def begin(self, order: SessionOrder) -> tuple[str, Session]:
        session = Session(order.document_number, str(order.return_url), self._clock() + SESSION_LIFE)
        return self._keep(self._sessions, session), session

    def session(self, session_id: str) -> Session:
        """Return a session that still waits; 404 otherwise."""
        session = self._sessions.get(session_id)
        if session is None or session.done or session.expires_at <= self._clock():
            raise HTTPException(404, {"reason": "session-unknown"})
        return session

    def look(self, session_id: str, look: Look) -> str:
        """End a session with what the camera saw, and return the address that the browser goes on to."""
        session = self.session(session_id)
        session.done = True
        if look == "cancel":
            return with_query(session.return_url, face_error="cancelled")
        answer = FaceAnswer(match=look != "other", live=look != "picture")
        reference = self._keep(self._results, (session.document_number, self._clock() + SESSION_LIFE, answer))
        return with_query(session.return_url, face_result=reference)

    def tell(self, question: FaceQuestion) -> FaceAnswer:
        """Answer a question; a reference is used up by it, also when it named another person."""
        if question.picture is not None:
            return judge(question.picture, question.document_number)
        number, expires_at, answer = self._results.pop(question.result or "", ("", self._clock(), None))
        if answer is None or expires_at <= self._clock():
            raise HTTPException(404, {"reason": "result-unknown"})
        return answer if number == question.document_number else FaceAnswer(match=False, live=answer.live)

    def _keep(self, shelf: OrderedDict[str, Any], item: Any) -> str:
        reference = secrets.token_urlsafe(24)
        shelf[reference] = item
        while len(shelf) > SESSIONS_MAX:
            shelf.popitem(last=False)
        return reference


def judge(picture: str, document_number: str) -> FaceAnswer:
    """A synthetic picture of a person is the bytes `face of <number>`; anything else shows nobody we know."""
    try:
        seen = base64.b64decode(picture, validate=True)
    except ValueError:
        raise HTTPException(422, {"reason": "picture-unreadable"}) from None
    return FaceAnswer(match=seen == b"face of " + document_number.encode(), live=seen.startswith(b"face of "))


def with_query(url: str, **added: str) -> str:
    """Add parameters to an address that may have some."""
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode(added))))
    return urlunsplit(parts._replace(query=query))


def face_routes(clock: Callable[[], datetime]) -> APIRouter:
    """Routes under /face."""
    faults = Faults("face", frozenset({Mode.SLOW, Mode.DOWN, Mode.SILENT, Mode.WRONG, Mode.REFUSED}))
    checks = FaceChecks(clock)
    router = APIRouter(prefix="/face", tags=["face check"])
    add_mode_routes(router, faults)

    @router.post("/sessions", status_code=201)
    async def begin_session(order: SessionOrder, request: Request) -> SessionMade:
        mode = faults.take(magic_mode(order.document_number))
        await delay_answer(mode, request)
        session_id, session = checks.begin(order)
        url = str(request.url_for("show_session", session_id=session_id))
        return SessionMade(session_id=session_id, url=url, expires_at=session.expires_at)

    @router.get("/session/{session_id}")
    async def show_session(session_id: str, request: Request) -> Response:
        try:
            checks.session(session_id)
        except HTTPException:
            return page(request, "face_over.html", status=404)
        return page(request, "face.html", session_id=session_id)

    @router.post("/session/{session_id}")
    async def look_into_camera(session_id: str, look: Annotated[Look, Form()]) -> Response:
        return RedirectResponse(checks.look(session_id, look), 303)

    @router.post("/checks", response_model=None)
    async def check(question: FaceQuestion, request: Request) -> FaceAnswer | dict[str, Any]:
        mode = faults.take(magic_mode(question.document_number))
        await delay_answer(mode, request)
        if mode is Mode.WRONG:
            return {"match": "perhaps"}
        answer = checks.tell(question)
        return FaceAnswer(match=False, live=answer.live) if mode is Mode.REFUSED else answer

    return router
