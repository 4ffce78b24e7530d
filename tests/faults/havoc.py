"""The attack on processes: SIGKILL of whoever the seed draws, SIGSTOP of a journal's leader, follower and writers.

Invariant: the order of faults follows from the seed alone; only processes of the attacked cell are touched, and
whoever was stopped is continued, whatever happens.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from onecard_local.children import wait_until
from tests.faults.cell import AttackedCell, children_of, parent_of
from tests.faults.stalling import stall_writer

KILLED = ("gateway", "card-svc", "payment-svc", "scenario-svc", "NATS", "PostgreSQL")
STOPPED = ("card", "payment")  # card's leader; payment's is also the follower of card
STOPPED_FOR_S = 10.0
KILLS_BETWEEN_STOPS = 5
STALLED = ("scenario", "payment")  # who writes most
KILLS_BETWEEN_STALLS = 3
PAUSES_S, LONG_PAUSES_S = (0.3, 1.3), (0.8, 3.0)
LONG = 30
"""From so many kills on there is time for more to be done between two of them."""
BACK_WITHIN_S = 30.0


def schedule(seed: int, kills: int) -> Iterator[tuple[float, str, str]]:
    """Yield (pause before it, "kill", "stop" or "stall", whom)."""
    dice = random.Random(f"havoc {seed}")
    pauses_s = LONG_PAUSES_S if kills >= LONG else PAUSES_S
    names: list[str] = []
    stops = stalls = 0
    for number in range(kills):
        if number % KILLS_BETWEEN_STOPS == min(1, kills - 1):
            yield dice.uniform(*pauses_s), "stop", STOPPED[stops % len(STOPPED)]
            stops += 1
        if number % KILLS_BETWEEN_STALLS == 0:
            yield dice.uniform(*pauses_s), "stall", STALLED[stalls % len(STALLED)]
            stalls += 1
        if not names:  # everybody once, in another order each round
            names = dice.sample(KILLED, len(KILLED))
        yield dice.uniform(*pauses_s), "kill", names.pop()


@dataclass(kw_only=True)
class Havoc:
    """One attack on one cell."""

    cell: AttackedCell
    seed: int
    kills: int
    done: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)
    _stopping: list[threading.Thread] = field(default_factory=list)
    _pause: threading.Event = field(default_factory=threading.Event)

    def run(self, until: float) -> None:
        """Do all of it, or as much as there is time for."""
        begun = time.monotonic()
        try:
            for pause_s, fault, whom in schedule(self.seed, self.kills):
                self._pause.wait(pause_s)
                if time.monotonic() > until:
                    self.log.append("out of time")
                    return
                done = self._do(fault, whom)
                self.done[f"{fault} {whom}"] += done
                self.log.append(f"{time.monotonic() - begun:6.1f} s  {fault} {whom}{'' if done else ': was not there'}")
        finally:
            for stopping in self._stopping:
                stopping.join()

    def _do(self, fault: str, whom: str) -> bool:
        if fault == "stall":
            return stall_writer(self.cell, whom)
        return self._kill(whom) if fault == "kill" else self._stop(whom)

    @property
    def killed(self) -> int:
        """How many processes were killed."""
        return sum(count for fault, count in self.done.items() if fault.startswith("kill"))

    def _kill(self, name: str) -> bool:
        pid: int | None = None

        def is_there() -> bool:
            nonlocal pid
            pid = self.cell.process(name)
            return pid is not None

        if not wait_until(is_there, within_s=BACK_WITHIN_S, pause_s=0.1) or pid is None:
            return False
        # Each backend of PostgreSQL is a group of its own; a power cut would take them all at once.
        family = [pid, *children_of(pid)] if name == "PostgreSQL" else [pid]
        for member in family:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        return True

    def _stop(self, service: str) -> bool:
        pid: int | None = None

        def is_there() -> bool:
            nonlocal pid
            pid = self.cell.lease_holder(service)
            return pid is not None

        if not wait_until(is_there, within_s=BACK_WITHIN_S, pause_s=0.1) or pid is None:
            return False
        os.kill(pid, signal.SIGSTOP)
        continued = threading.Thread(target=partial(self._continue, pid, self.cell.runner.pid))
        continued.start()
        self._stopping.append(continued)
        return True

    def _continue(self, pid: int, runner: int) -> None:
        """Let it go on after a while; one that was killed meanwhile is not ours any more."""
        self._pause.wait(STOPPED_FOR_S)
        if parent_of(pid) == runner:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
