"""The e-card page on a phone, in headless Chromium: from signing in to a lost card, free of accessibility faults."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from onecard_local.callers import wait_for
from onecard_local.sandbox import read_sandbox
from tests.demo.cell import RunningCell

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "ecard.png"

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


class Phone:
    """A person's phone: one browser context, and the text messages that it gets."""

    def __init__(self, cell: RunningCell, context: BrowserContext, key: str) -> None:
        people = {person["key"]: person for person in read_sandbox()["person"]}
        self.cell = cell
        self.person = people[key]
        self.page = context.new_page()
        self.page.set_default_timeout(15_000)

    def open(self, path: str) -> None:
        self.page.goto(f"{self.cell.ecard_url}{path}")

    def press(self, english: str) -> None:
        """Press what says so in English, a link or a button."""
        self.page.locator(f".action:has-text('{english}')").first.click()

    def sign_in(self) -> None:
        """Document number, then the code from the newest text message."""
        seen = self._messages()
        self.page.fill("#document-number", self.person["document_number"])
        self.press("Get a code")
        new = wait_for(lambda: self._messages()[: -len(seen) or None], what="The text message")
        found = re.search(r"(?<![0-9])[0-9]{6}(?![0-9])", new[0])
        assert found
        self.page.fill("#code", found[0])
        self.press("Sign in")
        assert self.page.url.startswith(self.cell.ecard_url), self.page.inner_text("main")

    def _messages(self) -> list[str]:
        url = f"{self.cell.outside['sms']}/inbox/{self.person['phone']}"
        messages = httpx.get(url, headers={"Accept": "application/json"}).json()["messages"]
        return [message["text"] for message in messages]


def faults(page: Page) -> list[str]:
    """What axe-core finds on a page."""
    found = Axe().run(page).response["violations"]
    return [f"{violation['id']}: {[node['html'][:120] for node in violation['nodes']]}" for violation in found]


def refuse_faults(page: Page) -> None:
    """No violation, and nothing to scroll sideways, at 100 % and at 200 % text."""
    assert faults(page) == [], page.url
    for size in ("100%", "200%"):
        page.evaluate("size => { document.documentElement.style.fontSize = size; }", size)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (page.url, size)
    page.evaluate("document.documentElement.style.fontSize = ''")


def at_the_gate(cell: RunningCell, browser: Browser, code: str) -> str:
    """Paste a code at the library's gate; returns its verdict."""
    page = browser.new_page()
    page.goto(f"{cell.simulators_url}/gate/library-gate")
    page.fill("#code", code)
    page.click("text=使用")
    verdict = page.get_attribute("[data-verdict]", "data-verdict")
    page.close()
    assert verdict
    return verdict


def test_a_resident_signs_in_shows_a_code_at_a_gate_and_reports_the_card_lost(
    running_cell: RunningCell, browser: Browser
) -> None:
    phone = Phone(running_cell, browser.new_context(viewport={"width": 360, "height": 760}), "adult")
    page = phone.page
    phone.open("/")
    refuse_faults(page)
    phone.press("Sign in")
    refuse_faults(page)
    phone.sign_in()
    page.wait_for_url(f"{running_cell.ecard_url}/")
    assert "Active" in page.inner_text(".card")
    refuse_faults(page)
    phone.press("Show my code")
    assert page.locator(".qr svg").is_visible()
    refuse_faults(page)
    if os.environ.get("ONECARD_PICTURES"):
        page.screenshot(path=PICTURE)
    shown = page.input_value("#text")
    assert at_the_gate(running_cell, browser, shown) == "open"
    assert at_the_gate(running_cell, browser, shown) == "shut"
    phone.open("/uses")
    assert "Library entry" in page.inner_text("ul.uses")
    refuse_faults(page)
    phone.open("/code")
    kept = page.input_value("#text")
    phone.open("/lost")
    refuse_faults(page)
    phone.press("Yes, stop my card")
    assert "Reported lost" in page.inner_text(".card")
    assert wait_for(lambda: at_the_gate(running_cell, browser, kept) == "shut", what="The refusal")
    phone.press("I have found it")
    refuse_faults(page)
    phone.press("Start the face check")
    page.get_by_role("button", name="It is me").click()
    page.wait_for_url(f"{running_cell.ecard_url}/")
    phone.press("I have found it")
    assert "Active" in page.inner_text(".card")


def test_everything_but_the_countdown_works_without_script(running_cell: RunningCell, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 760}, java_script_enabled=False)
    phone = Phone(running_cell, context, "elder")
    phone.open("/sign-in?then=/code")
    phone.sign_in()
    phone.page.wait_for_url(f"{running_cell.ecard_url}/code")
    first = phone.page.input_value("#text")
    phone.press("Fresh code")
    assert phone.page.input_value("#text") != first
    phone.press("Back")
    phone.press("Sign out")
    assert phone.page.locator("text=Welcome").is_visible()
    phone.open("/code")
    assert "/oauth/authorize" in phone.page.url or phone.page.url.endswith("/code")


def test_the_countdown_asks_for_a_fresh_code_before_the_end(running_cell: RunningCell, browser: Browser) -> None:
    phone = Phone(running_cell, browser.new_context(), "elder")
    phone.open("/sign-in?then=/code")
    phone.sign_in()
    phone.page.wait_for_url(f"{running_cell.ecard_url}/code")
    first = phone.page.input_value("#text")
    phone.page.evaluate("Date.now = (now => () => now() + 55000)(Date.now)")
    phone.page.wait_for_function("text => document.getElementById('text').value !== text", arg=first)


def test_a_form_from_elsewhere_and_a_changed_cookie_do_nothing(running_cell: RunningCell, browser: Browser) -> None:
    context = browser.new_context()
    phone = Phone(running_cell, context, "elder")
    phone.open("/sign-in")
    phone.sign_in()
    phone.page.wait_for_url(f"{running_cell.ecard_url}/")
    cookies = {cookie["name"]: cookie["value"] for cookie in context.cookies(running_cell.ecard_url)}
    with httpx.Client(base_url=running_cell.ecard_url, cookies=cookies) as http:
        forged = http.post("/card/loss-report", data={"csrf": "guessed", "key": "0123456789"})
        assert (forged.status_code, forged.headers["location"].split("?")[0]) == (303, "/sign-in")
        assert "Active" in http.get("/").text
    for name, value in cookies.items():
        changed = {name: value[:-2] + ("AA" if value[-2:] != "AA" else "BB")}
        answer = httpx.get(running_cell.ecard_url + "/code", cookies=changed)
        assert answer.status_code == 303
        assert json.dumps(changed) not in answer.text
