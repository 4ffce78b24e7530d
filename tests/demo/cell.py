"""The running cell that the demo talks to: the one that is there, or one that it starts and stops itself."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onecard_local.callers import ApiClient, wait_for
from onecard_local.cells import OUTSIDE
from onecard_local.ports import claim_test_cell
from onecard_local.sandbox import read_credentials
from tests.demo.story import Story

READY_WITHIN_S = 120.0


@dataclass(frozen=True)
class RunningCell:
    """Where everything is."""

    home: Path
    public_url: str
    ecard_url: str
    simulators_url: str

    @property
    def outside(self) -> dict[str, str]:
        """The simulators by system."""
        return {system: f"{self.simulators_url}/{prefix}" for system, prefix in OUTSIDE.items()}

    def client(self, key: str, story: Story) -> ApiClient:
        """Return a client of the sandbox whose calls are told."""
        credentials = read_credentials(self.home / "clients" / f"{key}.json")
        return ApiClient(self.public_url, credentials, story.http())

    def operator(self, story: Story) -> ApiClient:
        """Return the first operator's client."""
        return ApiClient(self.public_url, read_credentials(self.home / "operator.json"), story.http())


def look_for_cell(home: Path) -> RunningCell | None:
    """Return the cell of this data folder when it is ready, by the file that it keeps while it is."""
    try:
        state = json.loads((home / "run.json").read_text("utf-8"))
    except FileNotFoundError:
        return None
    return RunningCell(home, state["public_url"], state["ecard_url"], state["simulators_url"])


@contextmanager
def running_cell(story: Story, *options: str) -> Iterator[RunningCell]:
    """Give the running cell, starting one for the time of the story when there is none."""
    home = Path(os.environ.get("ONECARD_HOME") or ".onecard").absolute()
    if cell := look_for_cell(home):
        yield cell
        return
    story.say("No cell is running; starting one for the time of the story.")
    runner = subprocess.Popen([sys.executable, "-m", "onecard_local", "run", *options])
    try:

        def ready() -> RunningCell | None:
            if runner.poll() is not None:
                raise SystemExit(f"The cell ended with status {runner.returncode} before it was ready.")
            return look_for_cell(home)

        yield wait_for(ready, what="The cell's readiness", within_s=READY_WITHIN_S)
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.wait(timeout=60)


@contextmanager
def cell_of_its_own(home: Path) -> Iterator[RunningCell]:
    """Give a cell on ports of its own, with its data below `home`, started for the time of the block."""
    claimed = claim_test_cell()
    command = [sys.executable, "-m", "onecard_local", "run", "--base", str(claimed.ports.base)]
    command += ["--gateway-port", str(claimed.free_port()), "--ecard-port", str(claimed.free_port())]
    with (home / "runner.log").open("wb") as log:
        environment = os.environ | {"ONECARD_HOME": str(home / "data")}
        runner = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:

        def ready() -> RunningCell | None:
            if runner.poll() is not None:
                raise RuntimeError((home / "runner.log").read_text("utf-8")[-2000:])
            return look_for_cell(home / "data")

        yield wait_for(ready, what="The cell's readiness", within_s=READY_WITHIN_S)
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.wait(timeout=60)
        claimed.release()
