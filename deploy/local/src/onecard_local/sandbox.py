"""Seeds the sandbox of a running cell through its public API: `python -m onecard_local.sandbox`.

Invariant: it does nothing that any operator, counter and citizen could not do, and may be run again: every write
carries a key of its own, and what is there already is left as it is.
"""

import json
import os
import secrets
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onecard_local.callers import REAL_PERSON, ApiClient, Citizen, Credentials, Person, Unexpected, expect, wait_for

SANDBOX = Path(__file__).parents[2] / "sandbox.toml"
CARD_SCOPES = "openid card card.code card.loss use payments"
OPERATOR_SCOPES = "clients.manage policies.manage venues.manage"


@dataclass(frozen=True)
class Surroundings:
    """Where the cell is, and where its clients' credentials are kept."""

    public_url: str
    ecard_url: str
    outside: dict[str, str]
    operator: Path
    clients: Path

    @classmethod
    def from_environment(cls) -> "Surroundings":
        """Read what the runner tells."""
        return cls(
            public_url=os.environ["ONECARD_PUBLIC_URL"],
            ecard_url=os.environ["ONECARD_ECARD_URL"],
            outside=json.loads(os.environ["ONECARD_OUTSIDE"]),
            operator=Path(os.environ["ONECARD_OPERATOR"]),
            clients=Path(os.environ["ONECARD_CLIENTS"]),
        )

    def client(self, key: str) -> ApiClient:
        """Return a registered client by its key in the sandbox file."""
        return ApiClient(self.public_url, read_credentials(self.clients / f"{key}.json"))


def read_sandbox() -> dict[str, Any]:
    """Return the committed description of the sandbox."""
    return tomllib.loads(SANDBOX.read_text("utf-8"))


def read_credentials(file: Path) -> Credentials:
    """Return what the runner or the seeding kept of a client."""
    kept = json.loads(file.read_text("utf-8"))
    return Credentials(kept["client_id"], kept["client_secret"])


def person_of(entry: dict[str, Any]) -> Person:
    """Return a person of the sandbox file."""
    return Person(name=entry["name"], document_number=entry["document_number"], phone=entry["phone"])


class Seeding:
    """One run of the seeding."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._sandbox = read_sandbox()
        self._operator = ApiClient(around.public_url, read_credentials(around.operator))
        self._token = self._operator.own_token(OPERATOR_SCOPES)

    def run(self) -> None:
        """Register clients, then policies, venues and people side by side."""
        self._around.clients.mkdir(mode=0o700, parents=True, exist_ok=True)
        for entry in self._sandbox["client"]:
            self._register(entry)
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(self._set_policies), pool.submit(self._open_venues), pool.submit(self._people)]
            for job in jobs:
                job.result()

    def _register(self, entry: dict[str, Any]) -> None:
        """Register one client; its secret is chosen and kept before it is sent, so a lost answer costs nothing."""
        file = self._around.clients / f"{entry['key']}.json"
        if not file.exists():
            chosen = {"client_id": f"sbx_{entry['key']}", "client_secret": f"sbx_{secrets.token_urlsafe(24)}"}
            pending = file.with_suffix(".new")
            if pending.exists():
                chosen = json.loads(pending.read_text("utf-8"))
            else:
                pending.touch(mode=0o600)
                pending.write_text(json.dumps(chosen), "utf-8")
            body = {name: value for name, value in entry.items() if name != "key"} | chosen
            uris = [uri.format(ecard_url=self._around.ecard_url) for uri in entry.get("redirect_uris", [])]
            self._post("/v1/clients", body | {"redirect_uris": uris}, key=f"sandbox-client-{entry['key']}")
            pending.rename(file)

    def _set_policies(self) -> None:
        for entry in self._sandbox["exchange_policy"]:
            body = {name: value for name, value in entry.items() if name != "client"}
            client_id = read_credentials(self._around.clients / f"{entry['client']}.json").client_id
            key = f"sandbox-policy-{entry['client']}"
            self._post("/v1/exchange-policies", body | {"client_id": client_id}, key=key)

    def _open_venues(self) -> None:
        for entry in self._sandbox["venue"]:
            body = {name: entry[name] for name in ("name", "area", "scenarios")}
            venue = self._post("/v1/venues", body, key=f"sandbox-venue-{entry['key']}")["venue"]
            for terminal in entry["terminals"]:
                self._place(venue, read_credentials(self._around.clients / f"{terminal}.json").client_id)

    def _place(self, venue: str, client_id: str) -> None:
        """Place a terminal; scenario-svc may hear of it a moment after identity-svc has registered it."""

        def placed() -> bool:
            answer = self._operator.call(
                "POST",
                f"/v1/venues/{venue}/terminals",
                {"client_id": client_id},
                token=self._token,
                key=f"sandbox-place-{client_id}",
            )
            if answer.status_code == 409:
                return False
            expect(answer, 201)
            return True

        wait_for(placed, what=f"The news of {client_id}")

    def _people(self) -> None:
        people = {entry["key"]: entry for entry in self._sandbox["person"]}
        # Two people of the sandbox may share a phone: the child's is the guardian's. One after the other, then.
        by_phone: dict[str, list[str]] = {}
        for key, entry in people.items():
            by_phone.setdefault(entry["phone"], []).append(key)
        citizens = {
            key: Citizen(self._around.public_url, self._around.outside, person_of(entry))
            for key, entry in people.items()
        }

        def enrol(keys: list[str]) -> None:
            for key in keys:
                citizens[key].enrol(f"sandbox-enrol-{key}-{secrets.token_hex(4)}")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(enrol, by_phone.values()))
        self._give_cards([(people[key], citizens[key]) for key in people if people[key].get("card") == "active"])

    def _give_cards(self, holders: list[tuple[dict[str, Any], Citizen]]) -> None:
        """Let some people have a card that works: apply, produce, hand over, enable."""
        ecard, counter = self._around.client("ecard"), self._around.client("counter")
        redirect_uri = f"{self._around.ecard_url}/callback"
        with ThreadPoolExecutor(4) as pool:
            signed_in = list(
                pool.map(
                    lambda held: held[1].sign_in(ecard, redirect_uri, CARD_SCOPES, acr=REAL_PERSON)["access_token"],
                    holders,
                )
            )
        cards = [self._apply(ecard, token, entry) for token, (entry, _) in zip(signed_in, holders, strict=True)]
        at_counter = counter.own_token("cards.produce cards.handover")
        ordered = counter.call("POST", "/v1/production-batches", {}, token=at_counter, key=secrets.token_hex(8))
        expect(ordered, 202, 409)  # 409: none is waiting any more
        for card, token, (entry, _) in zip(cards, signed_in, holders, strict=True):
            self._hand_over_and_enable(ecard, token, counter, at_counter, entry, card)

    def _apply(self, ecard: ApiClient, token: str, entry: dict[str, Any]) -> str:
        def card() -> str | None:
            held = expect(ecard.call("GET", "/v1/cards", token=token), 200)["items"]
            if held:
                return str(held[0]["card"])
            answer = ecard.call("POST", "/v1/cards", {}, token=token, key=f"sandbox-apply-{entry['key']}")
            if answer.status_code == 409:  # card-svc hears of the person a moment after the enrolment
                return None
            return str(expect(answer, 201)["card"])

        return wait_for(card, what="The card's application")

    def _hand_over_and_enable(
        self, ecard: ApiClient, token: str, counter: ApiClient, at_counter: str, entry: dict[str, Any], card: str
    ) -> None:
        def state() -> str:
            return str(expect(ecard.call("GET", f"/v1/cards/{card}", token=token), 200)["state"])

        wait_for(lambda: state() not in ("applied", "in_production"), what="The card from its maker", within_s=30)
        if state() == "dispatched":
            number = {"document_number": entry["document_number"]}
            key = f"sandbox-handover-{entry['key']}"
            expect(counter.call("POST", "/v1/counter/handovers", number, token=at_counter, key=key), 200)
        if state() == "dormant":
            key = f"sandbox-enable-{entry['key']}"
            expect(ecard.call("POST", f"/v1/cards/{card}/enabling", token=token, key=key), 200)

    def _post(self, path: str, body: dict[str, Any], *, key: str) -> Any:
        return expect(self._operator.call("POST", path, body, token=self._token, key=key), 201)


def main() -> None:
    """Seed, or end with one sentence."""
    try:
        Seeding(Surroundings.from_environment()).run()
    except Unexpected as wrong:
        raise SystemExit(f"The sandbox could not be seeded. {wrong}") from None


if __name__ == "__main__":
    main()
