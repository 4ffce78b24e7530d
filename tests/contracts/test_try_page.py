"""The documentation pages in a real browser: served as the gateway serves them, under its content security policy.

The API behind the page is a stub that remembers what arrived; its description is made by the real generator.
"""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from typing import Annotated, Any
from urllib.parse import parse_qs
from uuid import UUID

import openapi
import pytest
from axe_playwright_python.async_playwright import Axe
from fastapi import FastAPI, Header
from playwright.async_api import Page, async_playwright
from pydantic import BaseModel

from gateway.pages import read_pages
from gateway.routes import Route

pytestmark = pytest.mark.needs("chromium")

SERVED = Path(__file__).parents[2] / "contracts/docs"
CARD = "01936b2e-7c00-7000-8000-000000000001"


class Loss(BaseModel):
    """The body of the operation that is tried."""

    reason: str
    level: int


def description() -> dict[str, Any]:
    """The merged OpenAPI of one operation."""
    app = FastAPI()

    async def report(card: UUID, body: Loss, idempotency_key: Annotated[str | None, Header()] = None) -> None: ...

    path = "/v1/cards/{card}/loss-report"
    app.add_api_route(path, report, methods=["POST"], operation_id="card.report_loss")
    route = Route(
        path=path,
        methods=("POST",),
        service="card",
        operation="card.report_loss",
        scopes=frozenset({"card.loss"}),
        assurance=2,
        sensitive=True,
        body_limit=1000,
        timeout_s=5,
        public=False,
    )
    return openapi.merged({"card": app.openapi()}, (route,))


@dataclass
class Stub:
    """A server that answers as the gateway would, and remembers."""

    url: str = ""
    arrived: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def stub() -> Iterator[Stub]:
    """The pages and two operations."""
    pages, state, described = read_pages(SERVED), Stub(), json.dumps(description()).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            self.send_response(200 if page else 404)
            for name, value in page.headers if page else ():
                self.send_header(name.decode(), value.decode())
            self.end_headers()
            if page:
                self.wfile.write(described if self.path == "/openapi.json" else page.body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.arrived.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            told = {"access_token": "the-token", "expires_in": 300} if self.path == "/oauth/token" else {"<b>": "lost"}
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A phone's window; an error in the page's script fails the test."""
    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=which("chromium"), args=quiet)
        window = await browser.new_page(viewport={"width": 390, "height": 844})
        errors: list[str] = []
        window.on("pageerror", lambda error: errors.append(str(error)))
        window.set_default_timeout(10_000)
        yield window
        await browser.close()
    assert errors == []


async def violations(page: Page) -> str:
    """What axe-core finds, in words; empty when nothing."""
    results = await Axe().run(page)
    return results.generate_report() if results.violations_count else ""


async def test_an_operation_is_tried_with_a_token_of_a_client(stub: Stub, page: Page) -> None:
    await page.goto(f"{stub.url}/docs")
    await page.get_by_label("Client id").fill("sbx_counter")
    await page.get_by_label("Client secret").fill("sbx_secret")
    await page.get_by_role("button", name="Get a token").click()
    await page.get_by_text("Good for 300 seconds.").wait_for()
    await page.get_by_text("/v1/cards/{card}/loss-report").click()
    await page.get_by_text("Scope: card.loss. Assurance: real-name or stronger.").wait_for()
    await page.get_by_label("card (path)").fill(CARD)
    await page.get_by_role("button", name="Send").click()
    await page.get_by_text('"<b>": "lost"').wait_for()  # as text, never as markup
    assert await violations(page) == ""

    (asked, credentials, grant), (path, headers, body) = stub.arrived
    assert asked == "/oauth/token"
    assert credentials["authorization"].startswith("Basic ")
    assert parse_qs(grant.decode()) == {"grant_type": ["client_credentials"]}
    assert path == f"/v1/cards/{CARD}/loss-report"
    assert headers["authorization"] == "Bearer the-token"
    assert UUID(headers["idempotency-key"]).version == 4
    assert json.loads(body) == {"reason": "", "level": 1}


@pytest.mark.parametrize("path", ["/docs/problems", "/docs/events"])
async def test_the_catalogues_are_readable_by_everyone(stub: Stub, page: Page, path: str) -> None:
    await page.goto(stub.url + path)
    assert await page.locator("section h2").count() > 5
    assert await violations(page) == ""
    # At 200 % nothing needs to be scrolled sideways.
    await page.set_viewport_size({"width": 195, "height": 422})
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
