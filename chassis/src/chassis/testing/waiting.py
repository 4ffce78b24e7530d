"""Wait for a condition with a bound, instead of sleeping and hoping."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], Awaitable[T]], *, within_s: float = 5.0, what: str = "the condition") -> T:
    """Ask until `condition` gives something true; AssertionError when that takes longer than `within_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        result = await condition()
        if result:
            return result
        if loop.time() > deadline:
            raise AssertionError(f"{what} did not come true within {within_s} s; last seen: {result!r}")
        await asyncio.sleep(0.01)
