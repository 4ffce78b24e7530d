"""How every service and its journal is doing, as each of them says it.

Invariant: a service that does not answer is a line that says so, never a line that is missing.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from contracts.edges import SERVICES
from onecard.cell import Cell
from onecard.failures import Refused, Unreachable
from onecard.set_aside import PAGE_MAX, list_set_aside
from onecard.shapes import Said

SCOPE = "journal.read"
FRESH_S = 2.0

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class FollowerLine:
    """One source that a service follows."""

    source: str
    state: str  # starting, following, unanswered, unwell, forked, stopped
    reason: str
    block: int
    position: int
    age_s: float | None  # how old what is known of it is; None: nothing was ever heard

    @property
    def is_fresh(self) -> bool:
        """Whether decisions may rest on it."""
        return self.age_s is not None and self.age_s < FRESH_S


@dataclass(frozen=True, kw_only=True)
class ServiceLine:
    """One service: the process of it that answered."""

    service: str
    cell: str
    ready: bool
    problem: str | None
    leading: bool  # only the process that leads seals and follows
    error: str  # why it does not lead, when it should
    term: int
    block: int
    position: int
    horizon_age_s: float
    nats_connected: bool
    nats_refusals: int
    set_aside: int  # events that wait for an operator or for their next try; PAGE_MAX means "or more"
    followers: tuple[FollowerLine, ...]

    def troubles(self) -> Iterator[str]:
        """Name everything that is not well."""
        if not self.ready:
            yield f"is not ready: {self.problem or 'it does not say why'}"
        if not self.leading and self.error:
            yield f"cannot lead its journal: {self.error}"
        if not self.nats_connected:
            yield "has no connection to NATS"
        if self.nats_refusals:
            yield f"was refused {self.nats_refusals} times by NATS: its rights are configured wrongly"
        if self.set_aside:
            yield f"has {counted(self.set_aside)} set aside"
        for follower in self.followers if self.leading else ():
            if follower.state != "following" or not follower.is_fresh:
                reason = f": {follower.reason}" if follower.reason else ""
                yield f"follows {follower.source} {age_words(follower.age_s)} behind ({follower.state}{reason})"


@dataclass(frozen=True, kw_only=True)
class NoAnswer:
    """A service that could not be asked."""

    service: str
    problem: str

    def troubles(self) -> Iterator[str]:
        """Say what came instead of an answer."""
        yield f"does not answer: {self.problem}"


Line = ServiceLine | NoAnswer


def counted(set_aside: int) -> str:
    """`3 events`, or `200 or more events` when the answer was cut there."""
    number = f"{set_aside} or more" if set_aside >= PAGE_MAX else str(set_aside)
    return f"{number} event{'' if set_aside == 1 else 's'}"


def age_words(age_s: float | None) -> str:
    """Return an age as a person says it."""
    if age_s is None:
        return "endlessly"
    if age_s < 120:
        return f"{age_s:.1f} s"
    return f"{age_s / 60:.0f} min" if age_s < 7200 else f"{age_s / 3600:.0f} h"


def read_status(cell: Cell) -> list[Line]:
    """Ask every service at once; NotLetIn when they would all refuse, Unreachable when no token can be had."""
    cell.token(SCOPE)
    return of_each_service(lambda service: read_service(cell, service))


def of_each_service(ask: Callable[[str], T]) -> list[T]:
    """Ask all services at the same time, and return their answers in the order of the table of edges."""
    with ThreadPoolExecutor(len(SERVICES)) as pool:
        return list(pool.map(ask, SERVICES))


def read_service(cell: Cell, service: str) -> Line:
    """Ask one service."""
    try:
        said = cell.get(f"/v1/services/{service}/status", scope=SCOPE)
        return _line(service, said, len(list_set_aside(cell, service)))
    except (Refused, Unreachable) as failure:
        return NoAnswer(service=service, problem=str(failure))


def _line(service: str, said: Said, set_aside: int) -> ServiceLine:
    journal = said.part("journal")
    return ServiceLine(
        service=service,
        cell=said.text("cell"),
        ready=said.flag("ready"),
        problem=said.text_or_none("problem"),
        leading=journal.flag("leading"),
        error=journal.text("error"),
        term=journal.whole("term"),
        block=journal.whole("block"),
        position=journal.whole("position"),
        horizon_age_s=journal.number("horizon_age_s"),
        nats_connected=journal.flag("nats_connected"),
        nats_refusals=journal.whole("nats_refusals"),
        set_aside=set_aside,
        followers=tuple(_follower(source, part) for source, part in sorted(journal.named_parts("followers").items())),
    )


NEVER_HEARD_S = 1_000_000_000.0
"""More than thirty years: the age of a follower that has heard nothing is counted from 1970."""


def _follower(source: str, said: Said) -> FollowerLine:
    age_s = said.number("age_s")
    return FollowerLine(
        source=source,
        state=said.text("state"),
        reason=said.text("reason"),
        block=said.whole("block"),
        position=said.whole("position"),
        age_s=age_s if age_s < NEVER_HEARD_S else None,
    )
