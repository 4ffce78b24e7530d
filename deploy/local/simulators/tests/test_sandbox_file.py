"""The committed sandbox: six people who cannot be real, seven clients without a secret, and nothing that dangles."""

import tomllib
from datetime import date
from typing import Any

from contracts.document_number import parse
from simulators.gate.terminals import GATES
from simulators.settings import LOCAL

SANDBOX: dict[str, Any] = tomllib.loads((LOCAL / "sandbox.toml").read_text(encoding="utf-8"))
TODAY = date(2026, 11, 24)


def test_six_people_with_valid_numbers_that_nobody_was_given() -> None:
    people = SANDBOX["person"]
    assert [person["key"] for person in people] == ["adult", "elder", "child", "guardian", "worker", "visitor"]
    for person in people:
        number = parse(person["document_number"], TODAY)
        assert number.area.endswith("0000")  # a province's own code: numbers carry a county's
        assert person["name"].startswith("范例")
        assert person["phone"].startswith("19900000")


def test_their_ages_fit_their_stories() -> None:
    born = {p["key"]: parse(p["document_number"], TODAY).birth_date for p in SANDBOX["person"]}
    assert TODAY.year - born["elder"].year == 70
    assert TODAY.year - born["child"].year == 10
    assert next(p for p in SANDBOX["person"] if p["key"] == "child")["guardian"] in born


def test_seven_clients_without_secrets() -> None:
    clients = SANDBOX["client"]
    assert len({client["key"] for client in clients}) == len(clients) == 7
    assert not any("secret" in client for client in clients)


def test_every_key_that_is_named_exists() -> None:
    keys = {client["key"] for client in SANDBOX["client"]}
    assert {policy["client"] for policy in SANDBOX["exchange_policy"]} <= keys
    terminals = {terminal for venue in SANDBOX["venue"] for terminal in venue["terminals"]}
    assert terminals <= keys
    assert set(GATES) == terminals
    scenarios = {scenario for venue in SANDBOX["venue"] for scenario in venue["scenarios"]}
    assert {gate.scenario for gate in GATES.values()} == scenarios
