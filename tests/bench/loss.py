"""`make bench ONLY=loss`: from the answer to a loss report until the gate refuses the card, while others use theirs.

Everything is real: a cell as `make run` starts it, the reports and the uses through the gateway, the news through the
journal. No reference: the promise is a bound, p99 <= 1 s.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from onecard_local.callers import REAL_PERSON, ApiClient, Citizen, expect
from onecard_local.sandbox import CARD_SCOPES, person_of, read_credentials, read_sandbox
from tests.bench.harness import report
from tests.demo.cell import RunningCell, cell_of_its_own

LOSSES = 100
GIVE_UP_S = 10.0
PAUSE = threading.Event()


class Holder:
    """Somebody with an active card, and the library's gate."""

    def __init__(self, cell: RunningCell, key: str) -> None:
        people = {entry["key"]: entry for entry in read_sandbox()["person"]}
        self._ecard, self._gate = self._client(cell, "ecard"), self._client(cell, "library-gate")
        citizen = Citizen(cell.public_url, cell.outside, person_of(people[key]))
        signed_in = citizen.sign_in(self._ecard, f"{cell.ecard_url}/callback", CARD_SCOPES, acr=REAL_PERSON)
        self._token, self._terminal = str(signed_in["access_token"]), self._gate.own_token("terminal")
        self._card = expect(self._ecard.call("GET", "/v1/cards", token=self._token), 200)["items"][0]["card"]

    def _client(self, cell: RunningCell, key: str) -> ApiClient:
        credentials = read_credentials(cell.home / "clients" / f"{key}.json")
        return ApiClient(cell.public_url, credentials, httpx.Client(timeout=10.0, trust_env=False))

    def step(self, step: str, body: Any = None) -> None:
        """Report the loss, or recover."""
        path = f"/v1/cards/{self._card}/{step}"
        expect(self._ecard.call("POST", path, body, token=self._token, key=str(uuid4())), 200)

    def code(self) -> str:
        """A fresh code."""
        made = self._ecard.call("POST", f"/v1/cards/{self._card}/codes", token=self._token)
        return str(expect(made, 201)["code"])

    def show(self, code: str) -> httpx.Response:
        """Show a code at the gate."""
        body = {"code": code, "scenario": "library-entry"}
        return self._gate.call("POST", "/v1/uses", body, token=self._terminal, key=str(uuid4()))


def report_to_refusal(holder: Holder) -> float:
    """One loss: seconds from the report's answer to the first refusal."""
    shown = holder.code()
    holder.step("loss-report", {})
    begun = time.perf_counter()
    while holder.show(shown).json().get("code") != "card-reported-lost":
        if time.perf_counter() - begun > GIVE_UP_S:
            raise SystemExit(f"A lost card was not refused within {GIVE_UP_S:.0f} s.")
    took = time.perf_counter() - begun
    holder.step("recovery")
    return took


def keep_using(holder: Holder, over: threading.Event, uses: list[int]) -> None:
    """Use a card again and again until told that it is over."""
    while not over.is_set():
        answer = holder.show(holder.code())
        uses.append(answer.status_code)
        PAUSE.wait(0.02)


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory(prefix="onecard-loss-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with cell_of_its_own(Path(folder)) as cell:
            loser, other = Holder(cell, "adult"), Holder(cell, "elder")
            over, uses = threading.Event(), list[int]()
            using = threading.Thread(target=keep_using, args=(other, over, uses))
            using.start()
            try:
                taken = sorted(report_to_refusal(loser) for _ in range(LOSSES))
            finally:
                over.set()
                using.join(30)
    refused = sum(status != 201 for status in uses)
    print(f"{LOSSES} losses, {len(uses)} uses of another card meanwhile, {refused} of them refused")
    limits = {
        "report to refusal, p50, s": (round(taken[LOSSES // 2], 4), 1.0),
        "report to refusal, p99, s": (round(taken[int(LOSSES * 0.99) - 1], 4), 1.0),
        "uses of the other card that were refused": (float(refused), 0.0),
    }
    report("loss", limits=limits, commands=["make bench ONLY=loss"])


if __name__ == "__main__":
    main()
