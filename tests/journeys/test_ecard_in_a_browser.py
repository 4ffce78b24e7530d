"""The e-card page on a phone, in headless Chromium: from signing in to a lost card, free of accessibility faults."""

import os
import random
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from onecard_local.callers import ApiClient, Person, expect, wait_for
from onecard_local.sandbox import read_credentials, read_sandbox
from tests.demo.cell import RunningCell
from tests.demo.people import fresh_person

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

    def __init__(self, cell: RunningCell, context: BrowserContext, person: Person, *, scripted: bool = True) -> None:
        self.cell = cell
        self.person = person
        self.scripted = scripted  # axe-core is a script itself
        self.page = context.new_page()
        self.page.set_default_timeout(15_000)

    def refuse_faults(self) -> None:
        """Look at the page as it is, when it can be looked at."""
        if self.scripted:
            refuse_faults(self.page)

    def open(self, path: str) -> None:
        self.page.goto(f"{self.cell.ecard_url}{path}")

    def press(self, english: str) -> None:
        """Press what says so in English, a link or a button."""
        self.page.locator(f".action:has-text('{english}')").first.click()

    def sign_in(self) -> None:
        """Document number, then the code from the newest text message."""
        seen = len(self._messages())
        self.refuse_faults()
        self.page.fill("#document-number", self.person.document_number)
        self.press("Get a code")
        self.refuse_faults()
        self.page.fill("#code", self._new_code(seen))
        self.press("Sign in")
        assert self.page.url.startswith(self.cell.ecard_url), self.page.inner_text("main")

    def enrol(self) -> None:
        """Enrol at the API, with the code from the text message; this page has no part in that."""
        seen, url = len(self._messages()), f"{self.cell.public_url}/v1/enrolments"
        who = {
            "document_number": self.person.document_number,
            "name": self.person.name,
            "phone": self.person.phone,
        }
        asked = httpx.post(url, json=who, headers={"Idempotency-Key": secrets.token_hex(8)})
        enrolment = expect(asked, 202)["enrolment_id"]
        expect(httpx.post(f"{url}/{enrolment}/completion", json={"code": self._new_code(seen)}), 200)

    def pass_the_face_check(self) -> None:
        """The issuer asks for it; the person looks into the camera and comes back to the card."""
        self.refuse_faults()
        self.press("Start the face check")
        self.page.get_by_role("button", name="It is me").click()
        self.page.wait_for_url(f"{self.cell.ecard_url}/")

    def _new_code(self, seen: int) -> str:
        """Wait for one message more than `seen`; returns the code in it."""
        new = wait_for(lambda: self._messages()[: -seen or None], what="The text message")
        found = re.search(r"(?<![0-9])[0-9]{6}(?![0-9])", new[0])
        assert found
        return found[0]

    def _messages(self) -> list[str]:
        url = f"{self.cell.outside['sms']}/inbox/{self.person.phone}"
        messages = httpx.get(url, headers={"Accept": "application/json"}).json()["messages"]
        return [message["text"] for message in messages]


def sandbox_person(key: str) -> Person:
    """Somebody of the committed sandbox."""
    found = next(person for person in read_sandbox()["person"] if person["key"] == key)
    return Person(name=found["name"], document_number=found["document_number"], phone=found["phone"])


def bring_to_the_counter(cell: RunningCell, person: Person) -> None:
    """Have the card made, and hand it over to its holder."""
    credentials = read_credentials(cell.home / "clients" / "counter.json")
    with httpx.Client() as http:
        counter = ApiClient(cell.public_url, credentials, http)
        token = counter.own_token("cards.produce cards.handover")
        expect(counter.call("POST", "/v1/production-batches", {}, token=token, key=secrets.token_hex(8)), 202)
        body = {"document_number": person.document_number}

        def handed_over() -> bool:
            answer = counter.call("POST", "/v1/counter/handovers", body, token=token, key=secrets.token_hex(8))
            return answer.status_code == 200

        wait_for(handed_over, what="The card at the counter", within_s=30)


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
    phone = Phone(running_cell, browser.new_context(viewport={"width": 360, "height": 760}), sandbox_person("adult"))
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
    refuse_faults(page)
    phone.press("I have found it")
    phone.pass_the_face_check()
    assert "Active" in page.inner_text(".card")


def test_a_newly_enrolled_person_gets_a_card_and_enables_it(running_cell: RunningCell, browser: Browser) -> None:
    person = fresh_person(random.Random())
    phone = Phone(running_cell, browser.new_context(viewport={"width": 360, "height": 760}), person)
    phone.enrol()
    phone.open("/sign-in")
    phone.sign_in()
    refuse_faults(phone.page)
    phone.press("Apply for a card")
    assert "Applied for" in phone.page.inner_text(".card")
    refuse_faults(phone.page)
    bring_to_the_counter(running_cell, person)
    phone.press("Refresh")
    assert "not enabled yet" in phone.page.inner_text(".card")
    refuse_faults(phone.page)
    phone.press("Enable my card")
    phone.pass_the_face_check()
    assert "Active" in phone.page.inner_text(".card")
    phone.open("/uses")
    assert "not been used yet" in phone.page.inner_text("main")
    refuse_faults(phone.page)
    phone.open("/nowhere")
    refuse_faults(phone.page)


def test_everything_but_the_countdown_works_without_script(running_cell: RunningCell, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 760}, java_script_enabled=False)
    phone = Phone(running_cell, context, sandbox_person("elder"), scripted=False)
    phone.open("/sign-in?then=/code")
    phone.sign_in()
    phone.page.wait_for_url(f"{running_cell.ecard_url}/code")
    first = phone.page.input_value("#text")
    assert "Valid until" in phone.page.inner_text("main")
    assert "seconds left" not in phone.page.inner_text("main")
    phone.press("Fresh code")
    assert phone.page.input_value("#text") != first
    phone.press("Back")
    phone.press("Recent uses")
    phone.press("Back")
    phone.press("Report it lost")
    phone.press("Yes, stop my card")
    assert "Reported lost" in phone.page.inner_text(".card")
    phone.press("I have found it")
    phone.pass_the_face_check()
    assert "Active" in phone.page.inner_text(".card")
    phone.press("Sign out")
    assert phone.page.locator("text=Welcome").is_visible()
    phone.open("/code")
    assert phone.page.url.startswith(f"{running_cell.public_url}/oauth/authorize")
    assert phone.page.locator("#document-number").is_visible()


def test_the_countdown_asks_for_a_fresh_code_before_the_end(running_cell: RunningCell, browser: Browser) -> None:
    phone = Phone(running_cell, browser.new_context(), sandbox_person("elder"))
    phone.open("/sign-in?then=/code")
    phone.sign_in()
    phone.page.wait_for_url(f"{running_cell.ecard_url}/code")
    first = phone.page.input_value("#text")
    phone.page.evaluate("Date.now = (now => () => now() + 55000)(Date.now)")
    phone.page.wait_for_function("text => document.getElementById('text').value !== text", arg=first)
    phone.open("/code?round=4")
    phone.page.evaluate("Date.now = (now => () => now() + 61000)(Date.now)")
    phone.page.wait_for_selector("#over")
    assert not phone.page.locator(".qr").is_visible()
    assert phone.page.input_value("#text") == ""
    refuse_faults(phone.page)


def test_a_form_from_elsewhere_and_a_changed_cookie_do_nothing(running_cell: RunningCell, browser: Browser) -> None:
    context = browser.new_context()
    phone = Phone(running_cell, context, sandbox_person("elder"))
    phone.open("/sign-in")
    phone.sign_in()
    phone.page.wait_for_url(f"{running_cell.ecard_url}/")
    cookies = {cookie["name"]: cookie["value"] for cookie in context.cookies(running_cell.ecard_url)}
    with httpx.Client(base_url=running_cell.ecard_url, cookies=cookies) as http:
        forged = http.post("/card/loss-report", data={"csrf": "guessed", "key": "0123456789"})
        assert forged.status_code == 403
        assert "Active" in http.get("/").text
    for name, value in cookies.items():
        changed = {name: value[:-2] + ("AA" if value[-2:] != "AA" else "BB")}
        answer = httpx.get(running_cell.ecard_url + "/code", cookies=changed)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?then=%2Fcode")
