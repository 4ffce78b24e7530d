"""The SMS operator: takes messages, and shows each phone's inbox to whoever plays its owner.

Invariant: an inbox keeps its last 20 messages, and at most 5,000 phones have one; what is older is gone.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from simulators.modes import LATE_S, Faults, Mode, add_mode_routes, delay_answer
from simulators.pages import page

INBOX_MAX = 20
PHONES_MAX = 5_000
MODES_BY_ENDING = {
    "9901": Mode.SLOW,
    "9902": Mode.DOWN,
    "9903": Mode.SILENT,
    "9904": Mode.LOST,
    "9905": Mode.LATE,
    "9906": Mode.DUPLICATE,
}

Phone = Annotated[str, StringConstraints(pattern=r"^1[0-9]{10}$")]


class MessageOrder(BaseModel):
    """A message to deliver; the same id again is the same message."""

    model_config = ConfigDict(extra="forbid")

    phone: Phone
    text: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    id: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(default_factory=lambda: str(uuid4()))


class Accepted(BaseModel):
    """The operator's word that it will deliver."""

    message_id: str


class Message(BaseModel):
    """A message in an inbox."""

    message_id: str
    text: str
    received_at: datetime


class Inbox(BaseModel):
    """A phone's messages, newest first."""

    phone: str
    messages: list[Message]


class Inboxes:
    """Every phone's messages."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._messages: OrderedDict[str, deque[Message]] = OrderedDict()

    def deliver(self, order: MessageOrder, *, delay_s: float = 0.0, twice: bool = False) -> None:
        """Put a message into its inbox; one that is there already stays the only one."""
        received_at = self._clock() + timedelta(seconds=delay_s)
        inbox = self._messages.setdefault(order.phone, deque(maxlen=INBOX_MAX))
        self._messages.move_to_end(order.phone)
        if any(message.message_id == order.id for message in inbox):
            return
        for _ in range(2 if twice else 1):
            inbox.appendleft(Message(message_id=order.id, text=order.text, received_at=received_at))
        while len(self._messages) > PHONES_MAX:
            self._messages.popitem(last=False)

    def of(self, phone: str) -> Inbox:
        """Show what has arrived by now."""
        now = self._clock()
        arrived = [message for message in self._messages.get(phone, ()) if message.received_at <= now]
        return Inbox(phone=phone, messages=arrived)


def sms_routes(clock: Callable[[], datetime]) -> APIRouter:
    """Routes under /sms."""
    known = {Mode.SLOW, Mode.DOWN, Mode.SILENT, Mode.LOST, Mode.LATE, Mode.DUPLICATE}
    faults = Faults("sms", frozenset(known))
    inboxes = Inboxes(clock)
    router = APIRouter(prefix="/sms", tags=["SMS"])
    add_mode_routes(router, faults)

    @router.post("/messages", status_code=202)
    async def send_message(order: MessageOrder, request: Request) -> Accepted:
        mode = faults.take(MODES_BY_ENDING.get(order.phone[-4:], Mode.NORMAL))
        if mode is not Mode.LOST:
            late = LATE_S if mode is Mode.LATE else 0.0
            inboxes.deliver(order, delay_s=late, twice=mode is Mode.DUPLICATE)
        await delay_answer(mode, request)
        return Accepted(message_id=order.id)

    @router.get("/inbox/{phone}", response_model=Inbox)
    async def read_inbox(phone: Phone, request: Request) -> Inbox | Response:
        inbox = inboxes.of(phone)
        if "application/json" in request.headers.get("accept", ""):
            return inbox
        return page(request, "inbox.html", inbox=inbox)

    return router
