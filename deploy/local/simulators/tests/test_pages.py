"""The pages that people use are free of accessibility faults, and the camera button appears only where it can work."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from chassis.testing.waiting import until_answering

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def served(free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Simulators as a process, at this address."""
    port, health_port = free_port(), free_port()
    environment = {"PATH": os.environ["PATH"], "ONECARD_PORT": str(port), "ONECARD_HEALTH_PORT": str(health_port)}
    # Nobody listens there: what the pages show while the platform is down is tested too.
    environment["ONECARD_PUBLIC_URL"] = f"http://127.0.0.1:{free_port()}"
    folder = tmp_path_factory.mktemp("simulators")
    process = subprocess.Popen([sys.executable, "-m", "simulators"], cwd=folder, env=environment)
    try:
        until_answering(f"http://127.0.0.1:{health_port}/readyz")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)


@pytest.mark.needs("chromium")
def test_no_page_has_an_accessibility_fault(served: str, tmp_path: Path) -> None:
    httpx.post(f"{served}/sms/messages", json={"phone": "19900000001", "text": "验证码 284917"})
    order = {"document_number": "330000199001010014", "return_url": f"{served}/gate"}
    face = httpx.post(f"{served}/face/sessions", json=order).json()["url"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 360, "height": 740})
        for address in ("/", "/gate", "/gate/canteen-terminal", "/sms/inbox/19900000001", face):
            page.goto(address if address.startswith("http") else served + address)
            assert _faults(page) == [], address
        page.click("text=本人")
        assert "face_result=" in page.url
        page.goto(f"{served}/gate/library-gate")
        page.fill("#code", "not a code")
        page.click("text=使用")
        assert page.get_attribute("[data-verdict]", "data-verdict") == "shut"
        assert _faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        browser.close()


def _faults(page: Page) -> list[str]:
    return [violation["id"] for violation in Axe().run(page).response["violations"]]
