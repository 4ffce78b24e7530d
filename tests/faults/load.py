"""What people do while the cell is under attack: codes, entries, meals, refunds, losses, recoveries, the same again.

Invariant: each citizen's doings are drawn from one seed, and every request that is to have an effect is an `Ask`.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from tests.faults.asks import Ask, Asking, read_json
from tests.faults.people import Holder, Terminal, Town

DAILY = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
MAGIC = (91, 93, 95, 96, 97, 98, 99)
"""Last digits of an amount by which the bank is slow, silent, late, answers twice, refuses, answers wrongly."""
ENDLESS = (92, 94)
LONG_MAGIC = (*MAGIC, *ENDLESS)
"""Down and lost as well: the charge is given up after a minute, so that only a long attack has the time."""
MAGIC_SHARE = 0.15
LOSS_COUNTS_AFTER_S = 2.0
THINKS_S = (0.0, 0.15)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The time in which a card was certainly reported lost: no use that begins in it may be accepted."""

    holder: Holder
    from_at: float
    to_at: float


@dataclass(kw_only=True)
class Load:
    """Everybody at once, until told to stop."""

    town: Town
    asking: Asking
    seed: int
    magic: tuple[int, ...]
    losses: list[Loss] = field(default_factory=list)
    rivals: list[tuple[Ask, Ask]] = field(default_factory=list)  # two terminals with one code
    defects: list[str] = field(default_factory=list)  # of this load: it must end with none
    _over: threading.Event = field(default_factory=threading.Event)
    _hurry: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, each: int) -> None:
        """Let every citizen do `each` things at once."""
        for number, holder in enumerate(self.town.holders * each):
            dice = random.Random(f"{self.seed}/{number}")
            thread = threading.Thread(target=self._live, args=(holder, dice, number < len(self.town.holders)))
            self._threads.append(thread)
            thread.start()

    def hurry(self, for_s: float) -> None:
        """Let nobody think between two doings, for a while."""
        self._hurry.set()
        self._over.wait(for_s)

    def stop(self) -> None:
        """Let everybody bring to its end what was begun."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _live(self, holder: Holder, dice: random.Random, first: bool) -> None:
        weights = {self._enter: 40, self._eat: 35, self._refund: 10, self._race: 4, self._again: 8, self._look: 3}
        if first:  # one thing at a time with the card's state
            weights |= {self._lose_and_find: 2}
        doings: list[Callable[[Holder, random.Random], None]] = list(weights)
        while not self._over.wait(0.0 if self._hurry.is_set() else dice.uniform(*THINKS_S)):
            doing = dice.choices(doings, list(weights.values()))[0]
            try:
                doing(holder, dice)
            except Exception as defect:
                self.defects.append(f"{doing.__name__}: {defect!r}")

    def _code(self, holder: Holder, dice: random.Random) -> str | None:
        path = f"/v1/cards/{holder.card}/codes"
        ask = Ask(kind="code", client=holder.channel, token=holder.token, path=path, body=None)
        self.asking.until_answered(ask, dice)
        return str(ask.answer["code"]) if ask.acknowledged else None

    def _use(self, holder: Holder, terminal: Terminal, code: str, amount_fen: int | None) -> Ask:
        body: dict[str, object] = {"code": code, "scenario": "library-entry"}
        if amount_fen is not None:
            body |= {"scenario": "canteen-meal", "amount_fen": amount_fen}
        return Ask(
            kind="use", client=terminal.client, token=terminal.token, path="/v1/uses", body=body, about=holder.card
        )

    def _enter(self, holder: Holder, dice: random.Random) -> None:
        if code := self._code(holder, dice):
            self.asking.until_answered(self._use(holder, self.town.gate, code, None), dice)

    def _eat(self, holder: Holder, dice: random.Random) -> None:
        amount_fen = dice.choice(self.magic) if dice.random() < MAGIC_SHARE else dice.choice(DAILY)
        if code := self._code(holder, dice):
            ask = self.asking.until_answered(self._use(holder, self.town.till, code, amount_fen), dice)
            if ask.acknowledged:
                with holder.lock:
                    holder.uses.append(ask)

    def _refund(self, holder: Holder, dice: random.Random) -> None:
        with holder.lock:
            paid = [ask for ask in holder.uses if ask.answer["state"] == "accepted"]
        if not paid:
            return
        meal = dice.choice(paid)
        path, most = f"/v1/uses/{meal.answer['use']}/refunds", meal.body["amount_fen"]
        # It may be more than remains after others; one that the bank would lose for ever could never be settled.
        body = {"amount_fen": dice.choice([fen for fen in range(1, most + 1) if fen not in ENDLESS])}
        till = self.town.till
        ask = Ask(kind="refund", client=till.client, token=till.token, path=path, body=body, about=meal.key)
        self.asking.until_answered(ask, dice)

    def _race(self, holder: Holder, dice: random.Random) -> None:
        """One code at two terminals at the same moment: at most one of them wins."""
        if (code := self._code(holder, dice)) is None:
            return
        asks = (
            self._use(holder, self.town.gate, code, None),
            self._use(holder, self.town.till, code, dice.choice(DAILY)),
        )
        other_dice = random.Random(dice.random())
        other = threading.Thread(target=self.asking.until_answered, args=(asks[1], other_dice))
        other.start()
        self.asking.until_answered(asks[0], dice)
        other.join()
        self.rivals.append(asks)

    def _again(self, holder: Holder, dice: random.Random) -> None:
        """Send something again that was acknowledged long ago, as a client does that lost the answer."""
        with holder.lock:
            old = dice.choice(holder.uses) if holder.uses else None
        if old is not None:
            self.asking.once(old)

    def _look(self, holder: Holder, dice: random.Random) -> None:
        """Sign in anew now and then, and read what only reads."""
        path = dice.choice(("/v1/cards", "/v1/uses", "/v1/payments", "/v1/accounts"))
        try:
            token = holder.token(dice.random() < 0.3)
            holder.channel.call("GET", path, token=token)
        except httpx.HTTPError:
            return

    def _lose_and_find(self, holder: Holder, dice: random.Random) -> None:
        code = self._code(holder, dice)
        lost = self._move(holder, dice, "loss", "loss-report", {"reason": "lost under attack"})
        if lost.acknowledged and code is not None:
            self._over.wait(LOSS_COUNTS_AFTER_S)
            self.asking.until_answered(self._use(holder, self.town.gate, code, None), dice)
        found_from = time.monotonic()
        self._move(holder, dice, "recovery", "recovery", None)
        if lost.acknowledged:
            from_at = lost.answered_at + LOSS_COUNTS_AFTER_S
            self.losses.append(Loss(holder=holder, from_at=from_at, to_at=found_from))

    def _move(self, holder: Holder, dice: random.Random, kind: str, step: str, body: object) -> Ask:
        path = f"/v1/cards/{holder.card}/{step}"
        ask = Ask(kind=kind, client=holder.channel, token=holder.token, path=path, body=body, about=holder.card)
        return self.asking.until_answered(ask, dice)

    def use_everyones_card(self) -> list[str]:
        """After the attack everybody can use the card again; names of those who cannot."""
        locked_out = []
        for holder in self.town.holders:
            answer = holder.channel.call("GET", f"/v1/cards/{holder.card}", token=holder.token(False))
            state = read_json(answer).get("state")
            dice = random.Random(str(uuid4()))
            if state == "temporarily_lost":
                self._move(holder, dice, "recovery", "recovery", None)
            before = len(self.asking.asks)
            self._enter(holder, dice)
            if not all(ask.acknowledged for ask in self.asking.asks[before:]):
                locked_out.append(f"{holder.card} ({state}): {[ask.refusal for ask in self.asking.asks[before:]]}")
        return locked_out
