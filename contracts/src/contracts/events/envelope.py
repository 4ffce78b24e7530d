"""The envelope of every event: CloudEvents 1.0 in its JSON format.

An event carries the full state and version of its aggregate, and nothing by which a stranger could name a person.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Event(BaseModel):
    """A fact that other services may rely on; one subclass per topic, named in the past tense."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: ClassVar[str]
    """CloudEvents `type`, e.g. `card.card.enabled.v1`."""

    key_field: ClassVar[str]
    """The field that holds the aggregate's id; events of one key are applied in order, and are set aside together."""

    @property
    def key(self) -> str:
        """The id of the aggregate."""
        return str(getattr(self, self.key_field))


class UnknownEvent(ValueError):
    """The body is not an event that this version of the contracts knows."""


Told = TypeVar("Told", bound=Event)


@dataclass(frozen=True, kw_only=True)
class Envelope(Generic[Told]):
    """What surrounds an event on its way: who said it, when, in which trace."""

    id: UUID
    source: str  # "/cells/330000/card-svc"
    time: datetime
    event: Told
    traceparent: str | None


def encode(event: Event, *, event_id: UUID, source: str, time: datetime, traceparent: str | None = None) -> bytes:
    """Return the exact bytes that are stored in the journal and sent: compact JSON, UTF-8."""
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(event_id),
        "source": source,
        "type": event.topic,
        "subject": event.key,
        "time": time.isoformat(),
        "datacontenttype": "application/json",
        "data": event.model_dump(mode="json"),
    }
    if traceparent:
        envelope["traceparent"] = traceparent
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()


def decode(shape: type[Told], body: bytes) -> Envelope[Told]:
    """Read an event of the topic that `shape` promises; raises UnknownEvent for anything else."""
    try:
        fields = json.loads(body)
        if fields["type"] != shape.topic or fields["specversion"] != "1.0":
            raise UnknownEvent(f"expected {shape.topic}, got {fields['type']}")
        return Envelope(
            id=UUID(fields["id"]),
            source=fields["source"],
            time=datetime.fromisoformat(fields["time"]),
            event=shape.model_validate(fields["data"]),
            traceparent=fields.get("traceparent"),
        )
    except (KeyError, TypeError, ValueError) as wrong:
        raise UnknownEvent(f"not a {shape.topic}: {wrong}") from wrong
