"""Events that a service could not apply: looking at them, and having a key's events tried again.

Nothing of an event's body is asked for or shown; the key is the pseudonymous id of an aggregate.
"""

from dataclasses import dataclass

from onecard.cell import Cell
from onecard.shapes import Said

PAGE_MAX = 200


@dataclass(frozen=True, kw_only=True)
class SetAsideEvent:
    """One event that waits."""

    service: str
    source: str
    position: int
    topic: str
    key: str
    error: str
    tries: int
    due: str | None  # None: it waits behind another one of its key, or for a person


def list_set_aside(cell: Cell, service: str) -> list[SetAsideEvent]:
    """Return the oldest PAGE_MAX events that `service` has set aside."""
    said = cell.get(f"/v1/services/{service}/set-aside", scope="journal.read", params={"limit": PAGE_MAX})
    return [_event(service, item) for item in said.parts("items")]


def retry_set_aside(cell: Cell, service: str, source: str, key: str) -> None:
    """Have all events of a key tried again, in order; Refused when none is set aside."""
    path = f"/v1/services/{service}/set-aside/retry"
    cell.post(path, scope="journal.manage", body={"source": source, "key": key})


def _event(service: str, said: Said) -> SetAsideEvent:
    return SetAsideEvent(
        service=service,
        source=said.text("source"),
        position=said.whole("position"),
        topic=said.text("topic"),
        key=said.text("key"),
        error=said.text("error"),
        tries=said.whole("tries"),
        due=said.text_or_none("due"),
    )
