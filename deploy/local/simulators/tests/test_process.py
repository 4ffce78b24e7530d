"""The simulators are one process that gets ready, serves, and ends when it is told."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from chassis.testing.waiting import until_answering


def test_the_process_serves_and_stops(free_port: Callable[[], int], tmp_path: Path) -> None:
    port, health_port = free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "ONECARD_PORT": str(port),
        "ONECARD_HEALTH_PORT": str(health_port),
        "ONECARD_ENV": "sandbox",
    }
    process = subprocess.Popen([sys.executable, "-m", "simulators"], cwd=tmp_path, env=environment)
    try:
        until_answering(f"http://127.0.0.1:{health_port}/readyz")
        assert httpx.get(f"http://127.0.0.1:{port}/gate").status_code == 200
        order = {"id": "d-1", "kind": "debit", "account": "a-1", "merchant": "m-1", "amount_fen": 100}
        assert httpx.post(f"http://127.0.0.1:{port}/bank/instructions", json=order).json()["state"] == "confirmed"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "simulators" / "bank.jsonl").stat().st_size > 0


def test_it_does_not_start_in_production(tmp_path: Path) -> None:
    environment = {"ONECARD_ENV": "production", "ONECARD_PORT": "1", "ONECARD_HEALTH_PORT": "2"}
    command = [sys.executable, "-m", "simulators"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "ONECARD_ENV" in ran.stderr
