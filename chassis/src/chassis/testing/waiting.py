"""Wait for a condition with a bound, instead of sleeping and hoping."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

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


def until_answering(url: str, *, within_s: float = 30.0) -> None:
    """Ask until `url` answers 200; AssertionError when that takes longer than `within_s`."""
    deadline, pause = time.monotonic() + within_s, threading.Event()
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=2.0).status_code == 200:
                return
        except httpx.TransportError:
            pass
        pause.wait(0.05)
    raise AssertionError(f"{url} did not answer within {within_s} s")
