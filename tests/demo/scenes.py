"""The scenes of one province: a person, a token, a card; the card used, charged, lost; a platform served."""

import random
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from contracts.card_code import Verifier, keys_from_trust_list
from onecard_local.callers import REAL_PERSON, ApiClient, Citizen, wait_for
from tests.demo.cell import RunningCell
from tests.demo.people import fresh_person
from tests.demo.story import Story

CARD_SCOPES = "openid profile card card.code card.loss use payments"


class Demo:
    """One telling; each method is a scene, and the later ones stand on the earlier."""

    def __init__(self, cell: RunningCell, story: Story, seed: int | None = None) -> None:
        self.cell = cell
        self.story = story
        self.ecard = cell.client("ecard", story)
        self.gate = cell.client("library-gate", story)
        self.till = cell.client("canteen-terminal", story)
        self.counter = cell.client("counter", story)
        self.citizen = Citizen(cell.public_url, cell.outside, fresh_person(random.Random(seed)))
        self.quiet = ApiClient(
            cell.public_url, self.ecard.credentials, story.quiet_http()
        )  # for looking again and again
        self._tokens: dict[str, str] = {}
        self.token = ""
        self.card = ""

    def tell(self) -> None:
        """Tell everything in order; raises Unexpected at the first thing that is not as told."""
        with closing(self.citizen), closing(self.story):
            self._tell()

    def _tell(self) -> None:
        self.enrolment()
        self.application()
        self.library()
        self.canteen()
        self.platform()
        self.loss()
        self.books()

    def enrolment(self) -> None:
        """Number 8: enrolment that gives nothing away."""
        person = self.citizen.person
        self.story.scene(
            "Enrolment (实名认证)", f"{person.name}, who has never been here, proves name, number and phone."
        )
        http, url = self.story.http(), f"{self.cell.public_url}/v1/enrolments"
        stranger = {"document_number": person.document_number, "name": "测试", "phone": person.phone}
        self.story.expect(http.post(url, json=stranger, headers={"Idempotency-Key": str(uuid4())}), 202)
        self.story.say("The name was wrong; the answer does not say so. The right one is answered the same:")
        self.citizen.enrol(str(uuid4()))
        mistyped = stranger | {"document_number": person.document_number[:-1] + "0X1"[len(person.name) % 3]}
        answer = http.post(url, json=mistyped, headers={"Idempotency-Key": str(uuid4())})
        if mistyped["document_number"] != person.document_number:
            self.story.expect(answer, 422, field="document_number")

    def application(self) -> None:
        """Numbers 9 and 11: sign in, apply, produce, hand over; enabling needs a face."""
        self.story.scene("A card (申领)", "Sign in with a code from the phone, apply, and get the card at the counter.")
        self.token = self._sign_in()
        applied = wait_for(self._apply, what="The news of the enrolment at the card service")
        self.card = applied["card"]
        token = self.counter.own_token("cards.produce cards.handover")
        self._expect(self.counter, "POST", "/v1/production-batches", {}, token=token, status=202)
        self.story.say("The card maker works …")
        wait_for(lambda: self._state() == "dispatched", what="The card from its maker", within_s=30)
        number = {"document_number": self.citizen.person.document_number}
        self._expect(self.counter, "POST", "/v1/counter/handovers", number, token=token, status=200, state="dormant")
        path = f"/v1/cards/{self.card}/enabling"
        self._expect(self.ecard, "POST", path, token=self.token, status=403, code="insufficient-assurance")
        self.story.say("A code from the phone is not enough to enable a card. So the person looks into the camera:")
        self.token = self._sign_in(acr=REAL_PERSON)
        self._expect(self.ecard, "POST", path, token=self.token, status=200, state="active")
        self.story.say("With the card an account is opened at the bank; then it can pay.")
        wait_for(self._account_is_open, what="The account behind the card")

    def library(self) -> None:
        """Numbers 12 and 13: a code verified offline, used once."""
        self.story.scene("The library (入馆)", "A code of 60 seconds: verified offline by anyone, used once.")
        shown = self._code()
        trusted = self.story.expect(self.story.http().get(f"{self.cell.public_url}/v1/trust-list"), 200)
        code = Verifier(keys_from_trust_list(trusted)).verify(shown, datetime.now(UTC))
        self.story.say(f"Verified with public keys only: cell {code.cell}, until {code.expires_at:%H:%M:%S}, no name.")
        self._use(self.gate, shown, "library-entry", status=201, state="accepted")
        self.story.say("The same code once more, as from a photograph:")
        self._use(self.gate, shown, "library-entry", status=409, code="code-already-used")
        self.story.say("And at a library's gate nobody eats:")
        self._use(self.gate, self._code(), "canteen-meal", amount_fen=1200, status=403, code="scenario-not-licensed")

    def canteen(self) -> None:
        """Number 14: charged, refused by the bank, settled late, refunded within bounds."""
        self.story.scene("The canteen (就餐)", "A charge is held, instructed to the bank, and ends as the bank says.")
        used = self._use(self.till, self._code(), "canteen-meal", amount_fen=1200, status=201, state="accepted")
        refunds, token = f"/v1/uses/{used['use']}/refunds", self._terminal(self.till)
        self._expect(self.till, "POST", refunds, {"amount_fen": 500}, token=token, status=201)
        self._expect(self.till, "POST", refunds, {"amount_fen": 701}, token=token, status=409, code="refund-too-high")
        self.story.say("12.97 yuan: the bank simulator refuses such an amount.")
        self._use(self.till, self._code(), "canteen-meal", amount_fen=1297, status=201, state="refused")
        self.story.say("12.95 yuan: the bank is late. The gate shows “being settled”; the payment's event closes it.")
        late = self._use(self.till, self._code(), "canteen-meal", amount_fen=1295, status=201, state="open")
        path = f"/v1/uses/{late['use']}"

        def closed() -> bool:
            return bool(self.quiet.call("GET", path, token=token).json()["state"] == "accepted")

        wait_for(closed, what="The late charge's end", within_s=30)
        self._expect(self.till, "GET", path, token=token, status=200, state="accepted")

    def platform(self) -> None:
        """Number 10: a government platform swaps a token; it only ever narrows, and dies with its parent."""
        self.story.scene("A government platform (政务服务)", "It signs the citizen in and swaps the token.")
        platform, office = (
            self.cell.client("government-platform", self.story),
            self.cell.client("benefits-office", self.story),
        )
        signed_in = self.citizen.sign_in(platform, "http://localhost:8092/callback", "openid profile")
        swapped = platform.grant(
            grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
            subject_token=signed_in["access_token"],
            subject_token_type="urn:ietf:params:oauth:token-type:access_token",
            audience="https://benefits.example",
        )
        question = {"token": swapped["access_token"]}
        credentials = (office.credentials.client_id, office.credentials.client_secret)
        url = f"{self.cell.public_url}/oauth/introspect"
        self.story.expect(office.http.post(url, data=question, auth=credentials), 200, active=True)
        self.story.say("The citizen's own token is revoked; what was made of it dies with it:")
        revoke = {"token": signed_in["access_token"]}
        own = (platform.credentials.client_id, platform.credentials.client_secret)
        platform.http.post(f"{self.cell.public_url}/oauth/revoke", data=revoke, auth=own).raise_for_status()
        self.story.expect(office.http.post(url, data=question, auth=credentials), 200, active=False)

    def loss(self) -> None:
        """Number 15: reported lost, refused at the gate at once, found again; the past is remembered."""
        self.story.scene("Lost and found (挂失、解挂)", "A report stops the card at every gate within a second.")
        shown, before = self._code(), datetime.now(UTC)
        path = f"/v1/cards/{self.card}"
        self._expect(self.ecard, "POST", f"{path}/loss-report", {"reason": "bag"}, token=self.token, status=200)
        begun = time.monotonic()
        wait_for(lambda: self._refused_as_lost(shown), what="The refusal", within_s=5)
        self.story.say(f"Refused {1000 * (time.monotonic() - begun):.0f} ms after the report.")
        self._expect(self.ecard, "POST", f"{path}/recovery", token=self.token, status=200, state="active")
        then = {"at": before.isoformat()}
        answer = self.ecard.call("GET", path, token=self.token, params=then)
        self.story.expect(answer, 200, state="active")

    def books(self) -> None:
        """The ledger and the journals, as an operator sees them."""
        self.story.scene("The books (账本)", "Anyone who is allowed may ask whether the ledger's entries sum to 0.")
        operator = self.cell.operator(self.story)
        token = operator.own_token("ledger.read journal.read")
        self._expect(operator, "GET", "/v1/ledger/invariants", token=token, status=200, ok=True, sum_fen=0)
        for service in ("card", "payment", "scenario"):
            self._expect(operator, "GET", f"/v1/services/{service}/status", token=token, status=200, ready=True)

    def _refused_as_lost(self, shown: str) -> bool:
        return bool(self._try(self.gate, shown).json().get("code") == "card-reported-lost")

    def _sign_in(self, **more: str) -> str:
        redirect_uri = f"{self.cell.ecard_url}/callback"
        return str(self.citizen.sign_in(self.ecard, redirect_uri, CARD_SCOPES, **more)["access_token"])

    def _apply(self) -> dict[str, Any] | None:
        answer = self.ecard.call("POST", "/v1/cards", {}, token=self.token, key=str(uuid4()))
        return answer.json() if answer.status_code == 201 else None

    def _account_is_open(self) -> bool:
        accounts = self.quiet.call("GET", "/v1/accounts", token=self.token).json()["items"]
        return any(account["state"] == "open" for account in accounts)

    def _state(self) -> str:
        return str(self.quiet.call("GET", f"/v1/cards/{self.card}", token=self.token).json()["state"])

    def _code(self) -> str:
        path = f"/v1/cards/{self.card}/codes"
        return str(self.story.expect(self.ecard.call("POST", path, token=self.token), 201)["code"])

    def _try(self, gate: ApiClient, shown: str, scenario: str = "library-entry", **more: Any) -> Any:
        body = {"code": shown, "scenario": scenario} | more
        return gate.call("POST", "/v1/uses", body, token=self._terminal(gate), key=str(uuid4()))

    def _terminal(self, gate: ApiClient) -> str:
        """The terminal's own token, fetched once: a client keeps it until it expires."""
        client_id = gate.credentials.client_id
        if client_id not in self._tokens:
            self._tokens[client_id] = gate.own_token("terminal")
        return self._tokens[client_id]

    def _use(self, gate: ApiClient, shown: str, scenario: str, *, amount_fen: int | None = None, **told: Any) -> Any:
        more = {} if amount_fen is None else {"amount_fen": amount_fen}
        return self.story.expect(self._try(gate, shown, scenario, **more), **told)

    def _expect(self, client: ApiClient, method: str, path: str, body: Any = None, *, token: str, **told: Any) -> Any:
        key = str(uuid4()) if method == "POST" else None
        return self.story.expect(client.call(method, path, body, token=token, key=key), **told)
