"""`make run`: brings a cell up step by step, keeps it up, and takes it down.

Invariant: however this ends (Ctrl-C, a refusal, a bug), `Supervisor.stop` has run; and when it cannot run, because
this process was killed, the leash of each child ends it.
"""

import hashlib
import json
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from onecard_local import environment, programs
from onecard_local.cells import Cell
from onecard_local.databases import Passwords, create_databases, keep_passwords, postgres_of
from onecard_local.home import hold_home, open_passage
from onecard_local.keys import make_keys, open_folder, write_once
from onecard_local.migrated import Migrated
from onecard_local.nats import NatsServer
from onecard_local.nats_config import nats_config
from onecard_local.ports import SERVICES, why_not_free
from onecard_local.programs import Job, Probe, package_of
from onecard_local.refusals import CannotStart
from onecard_local.signals import Signals
from onecard_local.supervisor import Program, Supervisor
from onecard_local.telling import Telling

SANDBOX = Path(__file__).parents[2] / "sandbox.toml"
READY_WITHIN_S = 60.0
SEEDED_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05


class StopAsked(Exception):
    """Ctrl-C while starting."""


def run(cell: Cell, telling: Telling, *, servers_only: bool = False) -> None:
    """Run the cell until a signal says stop; `servers_only` leaves out all but PostgreSQL and NATS."""
    with hold_home(cell.home):
        Runner(cell, telling, servers_only=servers_only).run()


class Runner:
    """One run of one cell."""

    def __init__(self, cell: Cell, telling: Telling, *, servers_only: bool) -> None:
        self._servers_only = servers_only
        self._cell = cell
        self._telling = telling
        self._signals = Signals()
        self._supervisor = Supervisor(telling.say)
        self._probes = programs.probes(cell)
        self._awaited: dict[str, Probe] = {}
        self._running: set[str] = set()
        self._jobs: list[Job] = []
        self._operator: Job | None = None  # makes the first operator, on a first run

    def run(self) -> None:
        state = self._cell.home / "run.json"
        try:
            self._start()
            self._supervisor.started()
            self._telling.ready(self._cell, self._running, SANDBOX)
            self._keep_up(state)
        except StopAsked:
            pass
        except CannotStart:
            if not self._signals.stop_asked():
                raise
        finally:
            state.unlink(missing_ok=True)
            self._stop()

    def _start(self) -> None:
        refuse_taken_ports(self._cell)
        open_passage(self._cell.folder)
        passwords = keep_passwords(self._cell)
        with self._telling.step("keys"):
            make_keys(self._cell)
            open_folder(self._cell.logs)
        if not self._servers_only:
            self._start_python("simulators", programs.simulators_program(self._cell))
        self._start_servers(passwords)
        if not self._servers_only:
            self._start_programs(passwords)

    def _start_programs(self, passwords: Passwords) -> None:
        self._start_python("gateway", programs.gateway_program(self._cell))
        self._start_python("ecard", programs.ecard_program(self._cell))
        with self._telling.waiting("migrations and services"):
            self._start_services(passwords)
            self._wait_until_ready()
        self._seed()

    def _start_servers(self, passwords: Passwords) -> None:
        with self._telling.step("PostgreSQL 18"):
            server = postgres_of(self._cell, passwords, self._signals.stop_asked)
            self._supervisor.start(programs.server_program("PostgreSQL", server))
        self._look_up()
        with self._telling.step("NATS"):
            nats = NatsServer(
                self._cell.folder / "nats",
                self._cell.ports.nats,
                self._cell.ports.nats_monitoring,
                nats_config(self._cell),
            )
            self._supervisor.start(programs.server_program("NATS", nats))
        with self._telling.step("databases"):
            create_databases(server, passwords)

    def _start_services(self, passwords: Passwords) -> None:
        """Migrate what is not at its newest revision, then start every service."""
        migrated = Migrated(self._cell)
        stale = [service for service in SERVICES if not migrated.is_current(service, package_of(service))]
        if stale:
            variables = environment.of_migrations(self._cell, passwords, stale)
            self._finish(self._job("migrations", "onecard_local.migrations", variables))
        for service in stale:
            migrated.note(service, package_of(service))
        for service in SERVICES:
            self._start_service(passwords, service)

    def _start_service(self, passwords: Passwords, service: str) -> None:
        if service == "identity" and not self._operator_file.exists():
            # It needs the migrated database only, so it need not wait until everything is ready.
            variables = environment.of_service(self._cell, passwords, "identity")
            self._operator = self._job("first operator", "identity_svc.first_operator", variables)
        program = programs.service_program(self._cell, passwords, service)
        self._start_python(f"{service}-svc", program)

    def _start_python(self, name: str, program: Program) -> None:
        self._supervisor.start(program)
        self._running.add(name)
        self._awaited[name] = self._probes[name]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while self._awaited:
            for name, probe in list(self._awaited.items()):
                if answers_ready(probe):
                    self._telling.done(name)
                    del self._awaited[name]
            if time.monotonic() > deadline:
                late = ", ".join(self._awaited)
                raise CannotStart(f"Not ready after {READY_WITHIN_S:.0f} s: {late}. Logs: {self._cell.logs}")
            self._look_up()

    def _seed(self) -> None:
        """The first operator, then the people and clients of the sandbox, through the public API."""
        if self._operator is not None:
            printed = self._finish(self._operator)
            refuse_lost_secret(self._cell, json.loads(printed))
            write_once(self._operator_file, printed.encode)
        mark = fingerprint_of_sandbox(self._cell, self._operator_file)
        seeded = self._cell.home / "seeded"
        if SANDBOX.exists() and not (seeded.exists() and seeded.read_text() == mark):
            variables = environment.of_sandbox(self._cell)
            self._finish(self._job("sandbox", "onecard_local.sandbox", variables))
            seeded.write_text(mark)

    @property
    def _operator_file(self) -> Path:
        return self._cell.home / "operator.json"

    def _job(self, name: str, module: str, variables: dict[str, str]) -> Job:
        job = Job(self._cell, name, module, variables)
        self._jobs.append(job)
        return job

    def _finish(self, job: Job) -> str:
        deadline = time.monotonic() + SEEDED_WITHIN_S
        with self._telling.waiting(job.name):
            while job.is_running():
                if time.monotonic() > deadline:
                    raise CannotStart(f"{job.name} did not end within {SEEDED_WITHIN_S:.0f} s; log: {self._cell.logs}")
                self._look_up()
            printed = job.result()
        self._telling.done(job.name)
        return printed

    def _look_up(self) -> None:
        """Between two looks at what is awaited: tend the processes, notice Ctrl-C."""
        self._signals.wait(LOOK_EVERY_S)
        if self._signals.stop_asked():
            raise StopAsked
        self._supervisor.tend()

    def _keep_up(self, state: Path) -> None:
        write_state(state, self._cell, self._supervisor.processes())
        while not self._signals.stop_asked():
            if self._supervisor.tend():
                write_state(state, self._cell, self._supervisor.processes())
            self._signals.wait(0.5)

    def _stop(self) -> None:
        begun = time.monotonic()
        for job in self._jobs:
            job.end()
        running = self._supervisor.processes()
        if running:
            self._telling.say("Stopping: " + ", ".join(running))
            self._supervisor.stop(self._signals.hurry_asked)
            self._telling.done("stopped", begun)


def refuse_taken_ports(cell: Cell) -> None:
    for address, port, who in cell.needed_ports():
        if (why := why_not_free(port, address)) is not None:
            raise CannotStart(f"Port {port} on {address} {why}, and {who} of cell {cell.code} needs it.")


def refuse_lost_secret(cell: Cell, credentials: dict[str, str]) -> None:
    """The first operator's secret is told once; a start that was cut off at that moment has lost it for good."""
    if "client_secret" not in credentials:
        raise CannotStart(
            f"The data folder {cell.home} is half-written (the first operator's secret is lost); `make clean` wipes it."
        )


def answers_ready(probe: Probe) -> bool:
    """Does GET /readyz on the second port say yes?"""
    connection = HTTPConnection("127.0.0.1", probe.port, timeout=0.5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def fingerprint_of_sandbox(cell: Cell, operator: Path) -> str:
    """What the sandbox depends on: its file, its seeding, who registers it, and the addresses in it."""
    digest = hashlib.sha256(f"{cell.public_url} {cell.ecard_url}\n".encode())
    for file in (SANDBOX, Path(__file__).with_name("sandbox.py"), operator):
        digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()


def write_state(state: Path, cell: Cell, processes: dict[str, int]) -> None:
    """For `make demo` and the benchmarks: what runs, and where; there only while everything is ready."""
    content = {
        "cell": cell.code,
        "public_url": cell.public_url,
        "ecard_url": cell.ecard_url,
        "gate_url": cell.gate_url,
        "simulators_url": cell.simulators_url,
        "processes": processes,
    }
    new = state.with_suffix(".new")
    new.write_text(json.dumps(content, indent=1))
    new.rename(state)
