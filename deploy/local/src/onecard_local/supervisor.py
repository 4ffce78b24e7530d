"""Keeps the processes of a cell alive and ends them in order.

Invariants: whatever dies is started again, later each time, and it is said; stopping follows STOP_ORDER, and each
stage takes at most its bound.
"""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from onecard_local.children import kill_group, tail, wait_until
from onecard_local.refusals import CannotStart

STOP_ORDER: tuple[tuple[str, float], ...] = (
    # Who is stopped, and after how many seconds it is killed. First the doors, so that nothing new comes in;
    # NATS after the services, which would otherwise report its loss; PostgreSQL last.
    ("gateway", 10.0),
    ("ecard", 5.0),
    ("simulators", 3.0),
    ("services", 12.0),
    ("NATS", 5.0),
    ("PostgreSQL", 10.0),
)
STAGES = tuple(stage for stage, _ in STOP_ORDER)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
SETTLED_AFTER_S = 30.0  # a process that lived this long begins again with the first pause
DEATHS_WHILE_STARTING = 3
LOG_MAX_BYTES = 8 * 1024 * 1024
LOGS_LOOKED_AT_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process as the supervisor sees it."""

    name: str
    stage: str  # one of STAGES
    launch: Callable[[], subprocess.Popen[bytes]]
    log: Path
    polite: signal.Signals = signal.SIGTERM


class Watched:
    """A program, its process now, and how often it has died lately."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.deaths = 0
        self.started_at = 0.0
        self.again_at = 0.0

    def launch(self) -> None:
        self.started_at = time.monotonic()
        self.process = self.program.launch()

    def has_died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def put_off(self) -> float:
        """Note a death; the pause before the next start, in seconds."""
        if time.monotonic() - self.started_at > SETTLED_AFTER_S:
            self.deaths = 0
        pause = min(FIRST_PAUSE_S * 2.0**self.deaths, LONGEST_PAUSE_S)
        self.deaths += 1
        self.again_at = time.monotonic() + pause
        self.process = None
        return pause


class Supervisor:
    """Owns every process of a cell; call `tend` often, `stop` once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._watched: list[Watched] = []
        self._starting = True
        self._logs_looked_at = time.monotonic()

    def start(self, program: Program) -> None:
        watched = Watched(program)
        watched.launch()
        self._watched.append(watched)

    def started(self) -> None:
        """From now on a program may die as often as it likes: it is started again for ever."""
        self._starting = False

    def processes(self) -> dict[str, int]:
        """Name -> process id, of those that run now."""
        return {w.program.name: w.process.pid for w in self._watched if w.process is not None}

    def tend(self) -> bool:
        """Start again what has died and whose pause is over; true when a process changed."""
        changed = False
        for watched in self._watched:
            if watched.has_died():
                self._note_death(watched)
                changed = True
            elif watched.process is None and time.monotonic() >= watched.again_at:
                self._start_again(watched)
                changed = True
        if time.monotonic() - self._logs_looked_at > LOGS_LOOKED_AT_EVERY_S:
            self._logs_looked_at = time.monotonic()
            for watched in self._watched:
                bound_log(watched.program.log)
        return changed

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """End everything, stage by stage; `hurry` turning true kills what is left at once."""
        for stage, within_s in STOP_ORDER:
            members = [w for w in self._watched if w.program.stage == stage and w.process is not None]
            late = stop_together(members, within_s, hurry)
            for watched in late:
                why = "had no time to stop" if hurry() else f"did not stop within {within_s:.0f} s"
                self._say(f"{watched.program.name} {why} and was killed.")
        self._watched.clear()

    def _note_death(self, watched: Watched) -> None:
        assert watched.process is not None
        how = how_it_ended(watched.process.returncode)
        kill_group(watched.process)  # nothing of it may stay behind and hold its port
        pause = watched.put_off()
        name, log = watched.program.name, watched.program.log
        if self._starting and watched.deaths >= DEATHS_WHILE_STARTING:
            raise CannotStart(f"{name} {how}, {watched.deaths} times while starting; {log} ends with:\n{tail(log)}")
        self._say(f"{name} {how}; starting it again in {pause:g} s (log: {log}).")

    def _start_again(self, watched: Watched) -> None:
        try:
            watched.launch()
        except CannotStart as why:
            pause = watched.put_off()
            self._say(f"{why} Trying again in {pause:g} s.")
        else:
            self._say(f"{watched.program.name} was started again.")


def stop_together(members: list[Watched], within_s: float, hurry: Callable[[], bool]) -> list[Watched]:
    """Ask all at once, wait for all together, kill the rest; returns those that had to be killed."""
    for watched in members:
        if watched.process is not None and runs(watched):
            with suppress(ProcessLookupError):
                watched.process.send_signal(watched.program.polite)
    wait_until(lambda: hurry() or not any(map(runs, members)), within_s=within_s)
    late = [watched for watched in members if runs(watched)]
    for watched in members:
        if watched.process is not None:
            kill_group(watched.process)
    return late


def runs(watched: Watched) -> bool:
    return watched.process is not None and watched.process.poll() is None


def how_it_ended(returncode: int) -> str:
    if returncode < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-returncode).name}"
        return f"was ended by signal {-returncode}"
    return f"ended with status {returncode}"


def bound_log(log: Path) -> None:
    """Keep one older part and begin anew; writers append, so they go on without noticing."""
    if log.exists() and log.stat().st_size > LOG_MAX_BYTES:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        with log.open("r+b") as opened:
            opened.truncate(0)
