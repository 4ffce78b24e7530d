"""What scenario-svc tells the others: what became of each use of a card."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.events.envelope import Event

UseState = Literal["open", "accepted", "refused", "cancelled"]


class UseEvent(Event):
    """A use's whole state after a change; `version` counts the changes from 1."""

    key_field: ClassVar[str] = "use"

    use: UUID
    citizen: UUID
    card: UUID
    venue: UUID
    terminal: str  # client id
    scenario: str  # "library-entry"
    amount_fen: int | None = Field(default=None, gt=0)
    refunded_fen: int = Field(default=0, ge=0)
    state: UseState
    refusal: str | None = None  # a code of the error catalogue
    version: int = Field(ge=1)


class UseOpened(UseEvent):
    """The code was redeemed and the charge is being settled."""

    topic: ClassVar[str] = "scenario.use.opened.v1"


class UseAccepted(UseEvent):
    """The holder was let in or served."""

    topic: ClassVar[str] = "scenario.use.accepted.v1"


class UseRefused(UseEvent):
    """The code was redeemed but the charge was refused."""

    topic: ClassVar[str] = "scenario.use.refused.v1"


class UseRefunded(UseEvent):
    """Part or all of the charge was given back."""

    topic: ClassVar[str] = "scenario.use.refunded.v1"
