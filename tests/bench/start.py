"""`make bench ONLY=start`: how long a cell takes to be ready, and how much memory its processes hold then.

What is measured is what `make run` starts, environment check included, with ports and a data folder of its own.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import report

from onecard_local import bootstrap
from onecard_local.children import wait_until
from onecard_local.ports import CellPorts, claim_test_cell

WARM_RUNS = 3
READY_WITHIN_S = 90.0
# What may be needed at most (issue 3): seconds, and megabytes of resident memory.
WARM_MAX_S = 8.0
FIRST_MAX_S = 15.0
SERVICE_MAX_MB = 130.0
GATEWAY_MAX_MB = 70.0


def start_command(ports: CellPorts) -> list[str]:
    """What `make run` executes, on other ports."""
    gateway, ecard = (str(port) for port in (ports.base + 40, ports.base + 42))
    own = ["--base", str(ports.base), "--gateway-port", gateway, "--ecard-port", ecard]
    return [sys.executable, bootstrap.__file__, "run", "python", "-m", "onecard_local", "run", *own]


@contextmanager
def running_cell(command: list[str], home: Path) -> Iterator[float]:
    """Start a cell, give the seconds until it was ready, and stop it."""
    begun = time.monotonic()
    with (home.parent / "run.log").open("ab") as log:
        runner = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "ONECARD_HOME": str(home)})
    try:
        state = home / "run.json"
        wait_until(lambda: state.exists() or runner.poll() is not None, within_s=READY_WITHIN_S)
        if not state.exists():
            sys.exit(f"The cell did not get ready:\n{(home.parent / 'run.log').read_text()}")
        yield time.monotonic() - begun
    finally:
        runner.send_signal(signal.SIGINT)
        runner.wait(60)


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def memory(home: Path) -> dict[str, float]:
    """Name of each process -> its resident memory in megabytes."""
    processes = json.loads((home / "run.json").read_text())["processes"]
    return {name: round(resident_mb(pid), 1) for name, pid in processes.items()}


def measure(home: Path) -> tuple[float, list[float], dict[str, float], list[str]]:
    """Seconds of a first run, of warm runs, and the memory after the last one."""
    cell = claim_test_cell()
    try:
        command = start_command(cell.ports)
        with running_cell(command, home) as first_s:
            pass
        warm_s = []
        for _ in range(WARM_RUNS):
            with running_cell(command, home) as seconds:
                warm_s.append(seconds)
                held_mb = memory(home)
        return first_s, warm_s, held_mb, command
    finally:
        cell.release()


def main() -> None:
    """Measure, print, and write the result."""
    above = Path(tempfile.mkdtemp(prefix="onecard-bench-start-"))
    above.chmod(0o711)
    try:
        first_s, warm_s, held_mb, command = measure(above / "home")
    finally:
        shutil.rmtree(above)
    limits = {
        "first_s": (round(first_s, 2), FIRST_MAX_S),
        "warm_s": (round(statistics.median(warm_s), 2), WARM_MAX_S),
    }
    for name, held in held_mb.items():
        if name.endswith("-svc"):
            limits[f"{name}_mb"] = (held, SERVICE_MAX_MB)
        elif name == "gateway":
            limits[f"{name}_mb"] = (held, GATEWAY_MAX_MB)
    report("start", limits=limits, commands=[" ".join(command)])


if __name__ == "__main__":
    main()
