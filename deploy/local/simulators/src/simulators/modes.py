"""How an outside system misbehaves: by magic value in a request, or for a while by order (`POST /<system>/mode`).

Invariant: a request's mode is decided once, before anything is done, so a fault is always whole: either nothing was
recorded, or it was and only the answer is odd.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

SLOW_S = 3.0
LATE_S = 3.0
SILENT_MAX_S = 60.0


class Mode(StrEnum):
    """One way to behave."""

    NORMAL = "normal"
    SLOW = "slow"  # does it, answers late
    DOWN = "down"  # 503, nothing done
    SILENT = "silent"  # does it, never answers
    LOST = "lost"  # never answers or answers as if all were well, and does nothing
    LATE = "late"  # accepts at once, does it later
    DUPLICATE = "duplicate"  # behaves as if it had been told twice
    REFUSED = "refused"  # says no
    LATE_REFUSED = "late_refused"  # accepts at once, says no later
    WRONG = "wrong"  # answers with something that is not the answer


class Faults:
    """The modes of one system: which it knows, and which one it is ordered to play now."""

    def __init__(self, system: str, known: frozenset[Mode], seconds: Callable[[], float] = time.monotonic) -> None:
        self.system = system
        self.known = known | {Mode.NORMAL}
        self._seconds = seconds
        self._ordered = Mode.NORMAL
        self._until_s = 0.0
        self._left = 0

    def order(self, mode: Mode, for_s: float | None, count: int | None) -> None:
        """Play `mode` from now on, for so long or so many requests, whichever ends first."""
        self._ordered = mode
        self._until_s = self._seconds() + for_s if for_s is not None else float("inf")
        self._left = count if count is not None else -1

    def ordered(self) -> Mode:
        """Name the mode in force; `normal` means that magic values decide."""
        if self._left == 0 or self._seconds() >= self._until_s:
            return Mode.NORMAL
        return self._ordered

    def take(self, magic: Mode = Mode.NORMAL) -> Mode:
        """Decide one request's mode: the ordered one, else what its magic value says; raises 503 when down."""
        mode = self.ordered()
        if mode is Mode.NORMAL:
            mode = magic if magic in self.known else Mode.NORMAL
        elif self._left > 0:
            self._left -= 1
        if mode is Mode.DOWN:
            raise HTTPException(503, {"reason": "down"}, {"Retry-After": "1"})
        return mode


async def delay_answer(mode: Mode, request: Request) -> None:
    """Wait as long as the mode says before answering; for a silent one, until the caller has gone."""
    if mode is Mode.SLOW:
        await asyncio.sleep(SLOW_S)
    elif mode is Mode.SILENT:
        await fall_silent(request)


async def fall_silent(request: Request) -> None:
    """Say nothing until the caller gives up, at most a minute."""
    try:
        async with asyncio.timeout(SILENT_MAX_S):
            while not await request.is_disconnected():  # noqa: ASYNC110  # the server offers no event for it
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    raise HTTPException(504, {"reason": "silent"})


class ModeOrder(BaseModel):
    """An order to misbehave."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode
    for_s: float | None = Field(default=None, gt=0, le=3600)
    count: int | None = Field(default=None, ge=1, le=100_000)


@dataclass(frozen=True)
class ModeShown:
    """What a system plays now, and what it could."""

    system: str
    mode: Mode
    known: list[Mode]


def add_mode_routes(router: APIRouter, faults: Faults) -> None:
    """Add the three routes by which tests and the demo order a system's mode."""

    def shown() -> ModeShown:
        return ModeShown(faults.system, faults.ordered(), sorted(faults.known))

    @router.get("/mode")
    async def read_mode() -> ModeShown:
        return shown()

    @router.post("/mode")
    async def order_mode(order: ModeOrder) -> ModeShown:
        if order.mode not in faults.known:
            raise HTTPException(422, {"reason": "mode-unknown", "known": sorted(faults.known)})
        faults.order(order.mode, order.for_s, order.count)
        return shown()

    @router.delete("/mode")
    async def clear_mode() -> ModeShown:
        faults.order(Mode.NORMAL, None, None)
        return shown()
