"""An event as a consumer gets it, and the shape of a consumer's handler."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from chassis.work import Work


class Received(NamedTuple):
    """One event of one source."""

    source: str  # "card"
    position: int  # without gaps in its source
    topic: str  # "card.card.enabled.v1"
    key: str  # the aggregate's id
    body: bytes  # the exact bytes of the CloudEvent; contracts.events.decode reads known topics


Handler = Callable[[Work, Sequence[Received]], Awaitable[None]]
