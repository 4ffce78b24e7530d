"""A bounded background loop of a service: one turn after another, a pause when there is nothing to do.

A turn that fails is logged and tried again after a growing pause; nothing but `stop` ends the loop.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

_log = structlog.get_logger(__name__)
_LONGEST_PAUSE_S = 30.0


class Loop:
    """Runs `turn` until stopped; `turn` says whether it found something to do."""

    def __init__(
        self, name: str, turn: Callable[[], Awaitable[bool]], *, idle_s: float, turn_limit_s: float = 30.0
    ) -> None:
        self._name = name
        self._turn = turn
        self._idle_s = idle_s
        self._turn_limit_s = turn_limit_s
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Begin the next turn at once."""
        self._awake.set()

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=f"loop {self._name}")

    async def stop(self) -> None:
        """End; a turn under way is cancelled, which its transactions survive by rolling back."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        failures = 0
        while True:
            pause_s = self._idle_s
            try:
                async with asyncio.timeout(self._turn_limit_s):
                    if await self._turn():
                        pause_s = min(0.05, self._idle_s)
                failures = 0
            except Exception as wrong:
                failures += 1
                pause_s = min(_LONGEST_PAUSE_S, self._idle_s * 2**failures)
                _log.warning("a turn failed", loop=self._name, failures=failures, exc_info=wrong)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._awake.wait()
            self._awake.clear()
