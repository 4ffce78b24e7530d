"""`make run` as a person meets it: what it says when something is in the way, and that it leaves no process behind.

The services are left out: their own tests start them, and the journeys start all of it.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from onecard_local.children import wait_until
from onecard_local.databases import owner_of, read_passwords
from onecard_local.ports import CellPorts, TestCell, claim_test_cell

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def own_cell() -> Iterator[TestCell]:
    """A range of ports for this test's runner: the session's own range holds the session's servers."""
    cell = claim_test_cell()
    yield cell
    cell.release()


@pytest.fixture
def home(open_folder: Callable[[str], Path]) -> Path:
    return open_folder("home") / "data"


@pytest.fixture
def start(own_cell: TestCell, home: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start_runner(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "onecard_local", *(words or run_words(own_cell.ports))],
            env={"PATH": os.environ["PATH"], "ONECARD_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start_runner
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def run_words(ports: CellPorts) -> tuple[str, ...]:
    gateway, ecard = (str(ports.base + distance) for distance in (40, 42))
    return ("run", "--servers-only", "--base", str(ports.base), "--gateway-port", gateway, "--ecard-port", ecard)


def is_ready(home: Path) -> bool:
    return (home / "run.json").exists()


def processes_in(home: Path) -> list[str]:
    """The command line of every process that was started with this data folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            inside = str(home) in command or str((entry / "cwd").readlink()).startswith(str(home))
        except OSError:
            continue
        if inside:
            found.append(command)
    return found


def stop(runner: subprocess.Popen[str]) -> str:
    """Ctrl-C, and what was printed."""
    runner.send_signal(signal.SIGINT)
    printed, _ = runner.communicate(timeout=20)
    assert runner.returncode == 0, printed
    return printed


def test_a_stop_leaves_no_process_and_a_second_run_keeps_keys_and_data(start: Start, home: Path) -> None:
    runner = start()
    assert wait_until(lambda: is_ready(home), within_s=30), runner.communicate(timeout=5)
    ports = CellPorts(ports_of(runner))
    keys = {file: file.read_bytes() for file in (home / "330000" / "keys").rglob("*") if file.is_file()}
    run_sql(home, ports, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert "ready" in stop(runner)
    assert processes_in(home) == []

    runner = start()
    assert wait_until(lambda: is_ready(home), within_s=30)
    assert run_sql(home, ports, "SELECT answer FROM kept") == 42
    assert {file: file.read_bytes() for file in (home / "330000" / "keys").rglob("*") if file.is_file()} == keys
    stop(runner)


def test_the_death_of_the_runner_leaves_no_process(start: Start, home: Path) -> None:
    runner = start()
    assert wait_until(lambda: is_ready(home), within_s=30)
    assert len(processes_in(home)) >= 2  # PostgreSQL and NATS, and the backends
    runner.kill()
    runner.wait()
    assert wait_until(lambda: processes_in(home) == [], within_s=10), processes_in(home)


def test_a_killed_server_is_started_again_and_it_is_said(start: Start, home: Path) -> None:
    runner = start()
    assert wait_until(lambda: is_ready(home), within_s=30)
    before = running(home)
    for name in ("NATS", "PostgreSQL"):
        os.kill(before[name], signal.SIGKILL)
    assert wait_until(lambda: all(running(home).get(name, pid) != pid for name, pid in before.items()), within_s=20)
    printed = stop(runner)
    for name in ("NATS", "PostgreSQL"):
        assert f"{name} was ended by SIGKILL; starting it again in 0.5 s" in printed
        assert f"{name} was started again." in printed


def test_a_taken_port_is_named_with_who_needs_it(start: Start, own_cell: TestCell) -> None:
    with socket.create_server(("127.0.0.1", own_cell.ports.service("card"))):
        runner = start()
        printed, _ = runner.communicate(timeout=20)
    assert runner.returncode == 1
    port = own_cell.ports.service("card")
    assert printed == f"Cannot start: Port {port} on 127.0.0.1 is taken, and card-svc of cell 330000 needs it.\n"


def test_a_second_runner_and_a_wipe_are_refused_while_one_runs(start: Start, home: Path) -> None:
    runner = start()
    assert wait_until(lambda: is_ready(home), within_s=30)
    for words in ((), ("clean",)):
        printed, _ = start(*words).communicate(timeout=20)
        assert printed == f"Cannot start: A runner is already using {home} (process {runner.pid}); stop it first.\n"
    stop(runner)
    wiped = start("clean")
    wiped.communicate(timeout=20)
    assert wiped.returncode == 0
    assert not home.exists()


def test_a_half_written_data_folder_gets_one_sentence(start: Start, home: Path) -> None:
    (home / "330000" / "postgres" / "pg").mkdir(parents=True)
    (home / "runner.lock").touch()
    runner = start()
    printed, _ = runner.communicate(timeout=20)
    assert runner.returncode == 1
    assert printed.startswith("Cannot start: The data folder ")
    assert "half-written" in printed
    assert printed.endswith("`make clean` wipes it.\n")
    assert printed.count("\n") == 1


def test_a_folder_that_is_not_ours_is_neither_used_nor_wiped(start: Start, home: Path) -> None:
    home.mkdir()
    (home / "photo.jpg").write_text("dear")
    for words in ((), ("clean",)):
        runner = start(*words)
        printed, _ = runner.communicate(timeout=20)
        assert runner.returncode == 1
        assert "data folder of One Card" in printed
    assert [entry.name for entry in home.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize("address", ["0.0.0.0", "example", "203.0.113.7"])
def test_an_address_that_no_phone_could_open_is_refused(start: Start, own_cell: TestCell, address: str) -> None:
    runner = start(*run_words(own_cell.ports), "--listen", address)
    printed, _ = runner.communicate(timeout=20)
    assert runner.returncode == 1
    assert address in printed
    assert printed.count("\n") == 1


def running(home: Path) -> dict[str, int]:
    processes: dict[str, int] = json.loads((home / "run.json").read_text())["processes"]
    return processes


def ports_of(runner: subprocess.Popen[str]) -> int:
    assert isinstance(runner.args, list)
    return int(runner.args[runner.args.index("--base") + 1])


def run_sql(home: Path, ports: CellPorts, statement: str) -> object:
    """As the owner of card-svc's tables, with the password that the data folder keeps."""
    role = owner_of("card")
    password = read_passwords(home / "330000" / "passwords.json")[role]

    async def ask() -> object:
        connection = await asyncpg.connect(f"postgresql://{role}:{password}@127.0.0.1:{ports.postgres}/card")
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())
