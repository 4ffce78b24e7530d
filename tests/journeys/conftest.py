"""A whole cell for the journeys: started as `make run` starts it, on ports and a data folder of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onecard_local.callers import wait_for
from onecard_local.ports import claim_test_cell
from tests.demo.cell import RunningCell, look_for_cell

READY_WITHIN_S = 120.0


@pytest.fixture(scope="session")
def running_cell(
    open_folder: Callable[[str], Path],
) -> Iterator[RunningCell]:
    """The cell, ready and seeded; it ends with the session."""
    claimed, home = claim_test_cell(), open_folder("cell")
    command = [sys.executable, "-m", "onecard_local", "run", "--base", str(claimed.ports.base)]
    command += ["--gateway-port", str(claimed.free_port()), "--ecard-port", str(claimed.free_port())]
    log = (home / "runner.log").open("wb")
    runner = subprocess.Popen(command, env=os.environ | {"ONECARD_HOME": str(home / "data")}, stdout=log, stderr=log)
    try:

        def ready() -> RunningCell | None:
            if runner.poll() is not None:
                raise AssertionError((home / "runner.log").read_text("utf-8")[-2000:])
            return look_for_cell(home / "data")

        yield wait_for(ready, what="The cell's readiness", within_s=READY_WITHIN_S)
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.wait(timeout=60)
        log.close()
        claimed.release()
