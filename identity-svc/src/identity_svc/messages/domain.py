"""What a text message is."""

from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class Sms:
    """A text message to be sent."""

    id: UUID  # by which the sender of text messages knows a repeated one
    phone: str = field(repr=False)
    words: str = field(repr=False)
    to_be_sent: bool
