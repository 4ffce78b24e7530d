"""Requests that a stubborn client makes: the same key and body again until a clear answer comes, and all of it noted.

Invariant: an ask is acknowledged once it got a 2xx; whatever an acknowledged one said must still hold at the end.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from onecard_local.callers import ApiClient

ANSWER_WITHIN_S = 6.0
STUBBORN_FOR_S = 75.0
NOT_CLEAR = frozenset({401, 408, 425, 429, 500, 502, 503, 504})
NOT_CLEAR_CODES = frozenset({"still-running"})
PAUSES_S = (0.05, 0.4)

Token = Callable[[bool], str]
"""Gives an access token; a fresh one when the last was refused."""


@dataclass(kw_only=True, eq=False)
class Ask:
    """One thing that somebody wants of the cell, until it is answered."""

    kind: str  # use, refund, loss, recovery, code
    client: ApiClient
    token: Token
    path: str
    body: Any
    about: str = ""  # who or what it is about, for the verdict
    key: str = field(default_factory=lambda: str(uuid4()))
    begun_at: float = 0.0
    answered_at: float = 0.0  # for the first time
    status: int = 0  # of the clear answer; 0 without one
    answers: list[dict[str, Any]] = field(default_factory=list)  # of every 2xx, in the order in which they came
    refusal: str = ""
    taken_back: str = ""  # the refusal that followed an acknowledgement: never right
    lock: threading.Lock = field(default_factory=threading.Lock)  # so that answers stand in the order of asking

    @property
    def acknowledged(self) -> bool:
        """Whether it was ever told that it is done."""
        return bool(self.answers)

    @property
    def answer(self) -> dict[str, Any]:
        """The last that was said of what was created."""
        return self.answers[-1]

    def __str__(self) -> str:
        return f"{self.kind} {self.key[:8]}"


class Asking:
    """Sends asks until they are answered, and counts what happened on the way."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.asks: list[Ask] = []
        self._lock = threading.Lock()
        self._pause = threading.Event()

    def until_answered(self, ask: Ask, dice: random.Random) -> Ask:
        """Ask again and again; ends with a clear answer or, after a bound, without one."""
        with self._lock:
            self.asks.append(ask)
        ask.begun_at = time.monotonic()
        while time.monotonic() - ask.begun_at < STUBBORN_FOR_S:
            if self.once(ask):
                return ask
            self._pause.wait(dice.uniform(*PAUSES_S))
        self._count("unanswered")
        return ask

    def once(self, ask: Ask) -> bool:
        """Send it one time; whether the answer was clear."""
        with ask.lock:
            return self._once(ask)

    def _once(self, ask: Ask) -> bool:
        try:
            token = ask.token(False)
            answer = ask.client.call("POST", ask.path, ask.body, token=token, key=ask.key, timeout=ANSWER_WITHIN_S)
            if answer.status_code == 401:
                ask.token(True)
        except httpx.HTTPError as broken:
            self._count(f"no answer ({type(broken).__name__})")
            return False
        self._count(str(answer.status_code))
        said = read_json(answer)
        if answer.status_code in NOT_CLEAR or said.get("code") in NOT_CLEAR_CODES:
            return False
        if answer.is_success:
            ask.answers.append(said)
        elif ask.acknowledged:
            ask.taken_back = f"{answer.status_code} {said.get('code')}"
            return True
        else:
            ask.refusal = str(said.get("code"))
        ask.status, ask.answered_at = answer.status_code, ask.answered_at or time.monotonic()
        return True

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts["requests"] += 1
            self.counts[what] += 1


def read_json(answer: httpx.Response) -> dict[str, Any]:
    """Return the answer's JSON object; an empty one when it has none."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
