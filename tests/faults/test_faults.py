"""Ten kills of a whole cell in every `make test`; `make faults KILLS=200 SEED=…` is the same at length."""

import subprocess
import sys
from pathlib import Path

from tests.faults.havoc import KILLED, schedule

ROOT = Path(__file__).resolve().parents[2]
SEED = 20261124
BOUND_S = 180  # it takes less than a minute on two idle cores


def test_ten_kills_lose_and_double_nothing() -> None:
    command = [sys.executable, "-m", "tests.faults", "--kills", "10", "--seed", str(SEED)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=BOUND_S, check=False
    )
    assert done.returncode == 0, done.stdout
    assert f"seed {SEED}, 10 kills" in done.stdout
    assert "verdict: nothing lost, nothing doubled, all caught up" in done.stdout


def test_a_seed_is_an_order_of_faults_that_spares_nobody() -> None:
    faults = list(schedule(SEED, 12))
    assert faults == list(schedule(SEED, 12))
    assert faults != list(schedule(SEED + 1, 12))
    assert sorted(whom for _, fault, whom in faults if fault == "kill") == sorted(KILLED * 2)
    assert {whom for _, fault, whom in faults if fault == "stop"} == {"card", "payment"}
    assert {whom for _, fault, whom in faults if fault == "stall"} == {"scenario", "payment"}
