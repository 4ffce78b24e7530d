"""How every process of a cell is started and ended: on a leash, in its own process group, with a bounded stop.

Invariant: a child ends when its parent does, and stopping one takes at most the time its caller allows.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LEASH = Path(__file__).with_name("leash.py")


@dataclass(frozen=True, kw_only=True)
class RunAs:
    """The user that a child runs as; -1 means whoever we are."""

    uid: int = -1
    gid: int = -1


def start_child(
    command: Sequence[str | Path],
    *,
    folder: Path,
    log: Path,
    environment: Mapping[str, str],
    run_as: RunAs | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    output: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command that ends with us. Call it from the main thread: the leash breaks when the *thread* ends.

    What it prints goes to its log; `output` takes its standard output instead.
    """
    user = run_as or RunAs()
    leashed: list[str | Path] = [sys.executable, "-I", "-S", LEASH]
    leashed += [str(os.getpid()), str(int(death_signal)), str(user.uid), str(user.gid), folder, "--", *command]
    # Appending lets the supervisor cut the file while the child goes on writing.
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            leashed,
            stdin=subprocess.DEVNULL,
            stdout=descriptor if output is None else output,
            stderr=descriptor,
            env=dict(environment),
            process_group=0,
        )
    finally:
        os.close(descriptor)


def stop_child(child: subprocess.Popen[bytes], *, polite: signal.Signals, within_s: float) -> bool:
    """Ask the child to end, then kill its whole group; true when asking was enough."""
    asked = True
    if child.poll() is None:
        with suppress(ProcessLookupError):
            child.send_signal(polite)
        try:
            child.wait(within_s)
        except subprocess.TimeoutExpired:
            asked = False
    kill_group(child)
    return asked


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Leave nothing of the child's process group, grandchildren included."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def wait_until(condition: Callable[[], bool], *, within_s: float, pause_s: float = 0.005) -> bool:
    """Ask again until the condition holds; false when the bound is reached."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
    return True


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log, for the sentence that says why something did not start."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
