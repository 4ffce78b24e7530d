"""A set of simulators of its own for each test: own state, own clock, no network."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from simulators import modes
from simulators.app import create_app
from simulators.settings import SimulatorSettings


class SetClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 4, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def settings(tmp_path: Path) -> SimulatorSettings:
    return SimulatorSettings(
        port=1, health_port=2, state=tmp_path / "state", clients=tmp_path / "clients", public_url="http://platform"
    )


Start = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def start(clock: SetClock, settings: SimulatorSettings) -> AsyncIterator[Start]:
    """`await start()` gives a client of fresh simulators; called again, of simulators restarted on the same state."""
    async with AsyncExitStack() as stack:

        async def begin(platform: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
            app = create_app(settings, clock=clock, platform_transport=platform)
            await stack.enter_async_context(app.router.lifespan_context(app))
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://outside")
            return await stack.enter_async_context(client)

        yield begin


@pytest.fixture
async def outside(start: Start) -> httpx.AsyncClient:
    return await start()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modes, "SLOW_S", 0.02)


@pytest.fixture
def patiently() -> Callable[[Awaitable[httpx.Response]], Awaitable[httpx.Response | None]]:
    """`await patiently(call)` gives the response, or None when the caller had to give up waiting."""

    async def wait(call: Awaitable[httpx.Response]) -> httpx.Response | None:
        try:
            async with asyncio.timeout(0.3):
                return await call
        except TimeoutError:
            return None

    return wait
