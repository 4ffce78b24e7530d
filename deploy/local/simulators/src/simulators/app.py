"""The one program that plays the world outside a cell; here its parts are put together.

Invariant: every system has a prefix, a state and modes of its own, and none knows another.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import httpx
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from starlette.staticfiles import StaticFiles

from simulators.bank_api import bank_routes
from simulators.card_maker import card_maker_routes
from simulators.face import face_routes
from simulators.gate.api import GatePage, gate_routes
from simulators.gate.platform import Platform
from simulators.lines import LineFile
from simulators.pages import STATIC, page
from simulators.people import People
from simulators.register import register_routes
from simulators.settings import SimulatorSettings
from simulators.sms import sms_routes

CHINA = ZoneInfo("Asia/Shanghai")


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def create_app(
    settings: SimulatorSettings,
    *,
    clock: Callable[[], datetime] = now,
    platform_transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """Put the simulators together; a test passes its own clock and its own platform."""
    bank_lines = LineFile(settings.state / "bank.jsonl")
    card_maker_lines = LineFile(settings.state / "card-maker.jsonl")
    platform = Platform(settings.public_url, platform_transport)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await platform.close()
        bank_lines.close()
        card_maker_lines.close()

    app = FastAPI(
        title="One Card: the outside world, simulated", version="1", docs_url=None, redoc_url=None, lifespan=lifespan
    )
    app.add_exception_handler(HTTPException, _say_why)
    app.include_router(register_routes(People.from_file(settings.sandbox, today(clock))))
    app.include_router(sms_routes(clock))
    app.include_router(face_routes(clock))
    app.include_router(bank_routes(bank_lines, clock))
    app.include_router(card_maker_routes(card_maker_lines, clock, settings.cell, settings.card_maker_delay_s))
    app.include_router(gate_routes(GatePage(platform, settings.clients, clock)))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    async def show_systems(request: Request) -> Response:
        return page(request, "index.html")

    return app


def today(clock: Callable[[], datetime]) -> date:
    """The business day in China."""
    return clock().astimezone(CHINA).date()


async def _say_why(_: Request, refused: Exception) -> JSONResponse:
    """Outside systems have manners of their own: a reason, and no problem+json."""
    assert isinstance(refused, HTTPException)
    detail: object = refused.detail
    body = detail if isinstance(detail, dict) else {"reason": detail}
    return JSONResponse(body, refused.status_code, headers=refused.headers)
