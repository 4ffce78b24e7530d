"""The supervisor: what dies is started again and it is said; what is stopped, is stopped in order and in time."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from onecard_local.children import start_child, wait_until
from onecard_local.refusals import CannotStart
from onecard_local.supervisor import DEATHS_WHILE_STARTING, LOG_MAX_BYTES, STAGES, Program, Supervisor, bound_log

WAITS = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
FALLS = "import sys; sys.exit('no such luck')"
# Writes its name when it is asked to stop, so that the order can be read afterwards.
TELLS = (
    "import signal, sys\n"
    "def end(*_):\n"
    "    open(sys.argv[1], 'a').write(sys.argv[2] + '\\n'); sys.exit()\n"
    "signal.signal(signal.SIGTERM, end); print('listening', flush=True)\n"
    "while True: signal.pause()"
)


def program(folder: Path, name: str, code: str, *words: str, stage: str = "services") -> Program:
    log = folder / f"{name}.log"
    command: list[str | Path] = [sys.executable, "-I", "-S", "-c", code, *words]
    launch = partial(start_child, command, folder=folder, log=log, environment={})
    return Program(name=name, stage=stage, launch=launch, log=log)


def test_a_killed_child_is_started_again_and_it_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    supervisor.start(program(tmp_path, "card-svc", WAITS))
    supervisor.started()
    first = supervisor.processes()["card-svc"]
    try:
        os.kill(first, signal.SIGKILL)

        def lives_again() -> bool:
            supervisor.tend()
            return supervisor.processes().get("card-svc", first) != first

        assert wait_until(lives_again, within_s=5)
    finally:
        supervisor.stop()
    assert "card-svc was ended by SIGKILL; starting it again in 0.5 s" in said[0]
    assert said[1] == "card-svc was started again."


def test_each_death_makes_the_pause_longer(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    supervisor.start(program(tmp_path, "card-svc", FALLS))
    supervisor.started()

    def died_three_times() -> bool:
        supervisor.tend()
        return sum("starting it again" in sentence for sentence in said) == 3

    assert wait_until(died_three_times, within_s=10)
    supervisor.stop()
    pauses = [sentence.split(" in ")[1].split(" s")[0] for sentence in said if "starting it again" in sentence]
    assert pauses == ["0.5", "1", "2"]


def test_while_starting_the_third_death_ends_the_start_with_the_reason(tmp_path: Path) -> None:
    supervisor = Supervisor(lambda sentence: None)
    supervisor.start(program(tmp_path, "card-svc", FALLS))

    def tends_for_ever() -> bool:
        supervisor.tend()
        return False

    with pytest.raises(
        CannotStart, match=rf"card-svc ended with status 1, {DEATHS_WHILE_STARTING} times(.|\n)*no such luck"
    ):
        wait_until(tends_for_ever, within_s=10)
    supervisor.stop()


def test_the_stop_order_is_the_doors_first_and_the_database_last(tmp_path: Path) -> None:
    order = tmp_path / "order"
    supervisor = Supervisor(lambda sentence: None)
    programs = [program(tmp_path, stage, TELLS, str(order), stage, stage=stage) for stage in reversed(STAGES)]
    for each in programs:
        supervisor.start(each)
    assert wait_until(lambda: all("listening" in each.log.read_text() for each in programs), within_s=10)
    supervisor.stop()
    assert order.read_text().split() == ["gateway", "ecard", "simulators", "services", "NATS", "PostgreSQL"]


def test_a_child_that_does_not_listen_is_killed_when_the_stop_is_hurried(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    deaf = program(tmp_path, "simulators", DEAF, stage="simulators")
    supervisor.start(deaf)
    assert wait_until(lambda: "deaf" in deaf.log.read_text(), within_s=5)
    process = supervisor.processes()["simulators"]
    supervisor.stop(hurry=lambda: True)
    assert said == ["simulators had no time to stop and was killed."]
    assert not Path(f"/proc/{process}").exists()


def test_a_log_that_grew_too_long_keeps_one_older_part_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "card-svc.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * (LOG_MAX_BYTES + 1))
        bound_log(log)
        writer.write(b"after\n")
    assert log.read_bytes() == b"after\n"
    assert log.with_name("card-svc.log.1").stat().st_size == LOG_MAX_BYTES + 1
