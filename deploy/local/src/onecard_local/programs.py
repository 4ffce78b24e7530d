"""The processes of a cell as programs of the supervisor, and the commands that run once before them.

Invariant: a service's package is started as `python -m <package>`, in its own folder, with its own environment;
nothing of it is imported here.
"""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import IO

from onecard_local import environment
from onecard_local.cells import Cell
from onecard_local.children import kill_group, start_child, tail
from onecard_local.databases import Passwords
from onecard_local.nats import NatsServer
from onecard_local.ports import SERVICES
from onecard_local.postgres import PostgresServer
from onecard_local.refusals import CannotStart
from onecard_local.supervisor import Program, how_it_ended


def package_of(service: str) -> str:
    return f"{service}_svc"


def python_program(cell: Cell, name: str, stage: str, package: str, variables: Mapping[str, str]) -> Program:
    log = cell.logs / f"{name}.log"
    command: list[str | Path] = [sys.executable, "-m", package]
    launch = partial(start_child, command, folder=cell.folder, log=log, environment=variables)
    return Program(name=name, stage=stage, launch=launch, log=log)


def service_program(cell: Cell, passwords: Passwords, service: str) -> Program:
    variables = environment.of_service(cell, passwords, service)
    return python_program(cell, f"{service}-svc", "services", package_of(service), variables)


def gateway_program(cell: Cell) -> Program:
    return python_program(cell, "gateway", "gateway", "gateway", environment.of_gateway(cell))


def ecard_program(cell: Cell) -> Program:
    return python_program(cell, "ecard", "ecard", "ecard", environment.of_ecard(cell))


def simulators_program(cell: Cell) -> Program:
    return python_program(cell, "simulators", "simulators", "simulators", environment.of_simulators(cell))


def server_program(name: str, server: PostgresServer | NatsServer) -> Program:
    """PostgreSQL or NATS; their own class knows how to start them, also after a death."""

    def launch() -> Popen[bytes]:
        process = server.start().process
        assert process is not None
        return process

    return Program(name=name, stage=name, launch=launch, log=server.log, polite=server.polite)


@dataclass(frozen=True)
class Probe:
    """Where on the loopback interface a program says that it is ready."""

    name: str
    port: int


def probes(cell: Cell) -> dict[str, Probe]:
    """Name of a program -> its probe."""
    found = [Probe(f"{service}-svc", cell.ports.service_health(service)) for service in SERVICES]
    found.append(Probe("simulators", cell.ports.simulators_health))
    found.append(Probe("gateway", cell.ports.gateway_health))
    found.append(Probe("ecard", cell.ports.ecard_health))
    return {probe.name: probe for probe in found}


class Job:
    """A command that runs once: started now, asked later, its output kept."""

    def __init__(self, cell: Cell, name: str, module: str, variables: Mapping[str, str]) -> None:
        self.name = name
        self._log = cell.logs / f"{name}.log"
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `finished` or with us
        command: list[str | Path] = [sys.executable, "-m", module]
        self._process = start_child(
            command, folder=cell.folder, log=self._log, environment=variables, output=self._output
        )

    def is_running(self) -> bool:
        return self._process.poll() is None

    def result(self) -> str:
        """What it printed; CannotStart when it failed."""
        self._process.wait()
        with self._output as output:
            output.seek(0)
            printed = output.read().decode("utf-8", "replace")
        if self._process.returncode != 0:
            how = how_it_ended(self._process.returncode)
            raise CannotStart(
                f"{self.name} {how}; {self._log} ends with:\n{tail(self._log)}\n{printed[-2000:]}".rstrip()
            )
        return printed

    def end(self) -> None:
        kill_group(self._process)
