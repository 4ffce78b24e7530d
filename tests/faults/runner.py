"""The runner of an attacked cell: `make run` with a second card-svc and payment-svc, and without the sandbox.

The second processes serve nobody; they are there to take the journal's lease when its holder is stopped, as another
replica would in production. Invariant: what is attacked is what `make run` starts; nothing of it is replaced.
"""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from onecard_local import environment, programs, supervisor
from onecard_local.cells import declare_cell
from onecard_local.databases import Passwords
from onecard_local.home import hold_home
from onecard_local.keys import write_once
from onecard_local.programs import Probe
from onecard_local.refusals import CannotStart
from onecard_local.run import Runner
from onecard_local.supervisor import Program
from onecard_local.telling import Telling

SECOND = ("card", "payment")


class AttackedRunner(Runner):
    """One run of an attacked cell."""

    def __init__(self, *arguments: object, spare_ports: list[int]) -> None:
        super().__init__(*arguments, servers_only=False)  # type: ignore[arg-type]  # passed on as they come
        self._spare_ports = spare_ports

    def _start_python(self, name: str, program: Program) -> None:
        if name != "ecard":  # nobody opens the page here
            super()._start_python(name, program)

    def _start_services(self, passwords: Passwords) -> None:
        super()._start_services(passwords)
        for service in SECOND:
            name, port, health = f"{service}-svc (second)", self._spare_ports.pop(), self._spare_ports.pop()
            variables = environment.of_service(self._cell, passwords, service)
            variables |= {"ONECARD_PORT": str(port), "ONECARD_HEALTH_PORT": str(health)}
            self._probes[name] = Probe(name, health)
            package = programs.package_of(service)
            self._start_python(name, programs.python_program(self._cell, name, "services", package, variables))

    def _seed(self) -> None:
        """The first operator alone: the attack makes its own people and clients."""
        assert self._operator is not None
        printed = self._finish(self._operator)
        assert "client_secret" in json.loads(printed)
        write_once(self._cell.home / "operator.json", printed.encode)


def main() -> int:
    """Run until a signal says stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    for name in ("base", "gateway-port", "ecard-port"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--spare", type=int, nargs="+", required=True)
    arguments = parser.parse_args()
    # A planted fault reaches the processes of the cell; a death a second must not make the pauses grow for ever.
    environment.PASSED_ON += ("PYTHONPATH",)  # type: ignore[assignment]  # a tuple of another length
    supervisor.LONGEST_PAUSE_S = 1.0
    cell = declare_cell(
        arguments.home,
        base=arguments.base,
        gateway_port=arguments.gateway_port,
        ecard_port=arguments.ecard_port,
    )
    telling = Telling(Console(width=None, soft_wrap=True))
    try:
        with hold_home(cell.home):
            AttackedRunner(cell, telling, spare_ports=arguments.spare).run()
    except CannotStart as why:
        telling.refuse(str(why))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
