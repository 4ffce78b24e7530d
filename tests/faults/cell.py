"""The attacked cell as the attacker sees it: its processes, its databases, its addresses.

Invariant: a process is touched only when the runner that was started here names it in run.json and it is that
runner's own child; whatever happens, the runner is stopped, and with it everything.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from onecard_local.callers import ApiClient, wait_for
from onecard_local.cells import OUTSIDE
from onecard_local.children import start_child
from onecard_local.databases import read_passwords
from onecard_local.ports import SERVICES, CellPorts, claim_test_cell
from onecard_local.postgres import SUPERUSER
from onecard_local.sandbox import read_credentials
from tests.faults.plants import planted
from tests.faults.wire import Wire

CODE = "330000"
ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 120.0


@dataclass(frozen=True, kw_only=True)
class AttackedCell:
    """A cell that runs for the attack alone."""

    home: Path
    ports: CellPorts
    public_url: str
    runner: "subprocess.Popen[bytes]"
    wire: Wire

    @property
    def outside(self) -> dict[str, str]:
        """The simulators by system."""
        url = f"http://127.0.0.1:{self.ports.simulators}"
        return {system: f"{url}/{prefix}" for system, prefix in OUTSIDE.items()}

    @property
    def keys(self) -> Path:
        """Where each process's folder of keys lies."""
        return self.home / CODE / "keys"

    @property
    def bank_file(self) -> Path:
        """The bank simulator's own books."""
        return self.home / CODE / "simulators" / "bank.jsonl"

    def operator(self) -> ApiClient:
        """Return the first operator's client."""
        return ApiClient(self.public_url, read_credentials(self.home / "operator.json"))

    def process(self, name: str) -> int | None:
        """Return the id of a process that runs now; None while it is down."""
        try:
            processes: dict[str, int] = json.loads((self.home / "run.json").read_text("utf-8"))["processes"]
        except (FileNotFoundError, ValueError):
            return None
        pid = processes.get(name)
        return pid if pid is not None and parent_of(pid) == self.runner.pid else None

    def names_of(self, service: str) -> list[str]:
        """The processes of a service that has two."""
        return [f"{service}-svc", f"{service}-svc (second)"]

    def lease_holder(self, service: str) -> int | None:
        """Return the process that holds a service's journal lease, or None when it cannot be told now."""
        try:
            rows = self.ask(service, "SELECT holder FROM journal_lease WHERE holder IS NOT NULL")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return None
        holder = int(rows[0]["holder"].split(":")[1]) if rows else None
        return holder if holder in [self.process(name) for name in self.names_of(service)] else None

    def database_url(self, service: str) -> str:
        """Return the superuser's address of a service's database."""
        password = read_passwords(self.home / CODE / "passwords.json")[SUPERUSER]
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self.ports.postgres}/{service}"

    def ask(self, service: str, statement: str, *values: object) -> list[Any]:
        """Look into a service's database as an auditor with all rights would."""
        url = self.database_url(service)

        async def fetch() -> list[Any]:
            async with asyncio.timeout(20.0):
                connection = await asyncpg.connect(url, timeout=5.0)
                try:
                    rows: list[Any] = await connection.fetch(statement, *values)
                    return rows
                finally:
                    await connection.close()

        return asyncio.run(fetch())

    def all_up(self) -> bool:
        """Whether every process that the attack touches runs."""
        names = ["gateway", "NATS", "PostgreSQL", *(f"{service}-svc" for service in SERVICES)]
        names += [*self.names_of("card"), *self.names_of("payment")]
        return all(self.process(name) is not None for name in names)


def parent_of(pid: int) -> int | None:
    """Return the parent of a process, or None when it is gone or has been taken up by another."""
    try:
        # The name in brackets may hold anything, so the fields are counted from its end.
        fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]) if fields[0] not in "ZX" else None


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [child for child in found if parent_of(child) == pid]


@contextmanager
def attacked_cell(seed: int, plant: str | None) -> Iterator[AttackedCell]:
    """Start a cell with a lying wire, and leave no process and no folder of it."""
    above = Path(tempfile.mkdtemp(prefix="onecard-faults-"))
    above.chmod(0o711)
    claimed = claim_test_cell()
    try:
        wire = Wire(claimed.free_port(), claimed.ports.nats, seed)
        gateway, ecard, *spare = (claimed.free_port() for _ in range(6))
        command = [sys.executable, "-m", "tests.faults.runner", str(above / "home"), "--base", str(claimed.ports.base)]
        command += ["--gateway-port", str(gateway), "--ecard-port", str(ecard), "--spare", *map(str, spare)]
        environment = os.environ | {"ONECARD_NATS_THROUGH": wire.url}
        environment.pop("PYTHONPATH", None)
        if plant:
            environment["PYTHONPATH"] = str(planted(plant, above / "plant"))
        wire.start()
        # On a leash: when we are killed, the runner is asked to stop, and it stops everything.
        runner = start_child(
            command,
            folder=ROOT,
            log=above / "runner.log",
            environment=environment,
            death_signal=signal.SIGTERM,
        )
        cell = AttackedCell(
            home=above / "home",
            ports=claimed.ports,
            public_url=f"http://localhost:{gateway}",
            runner=runner,
            wire=wire,
        )
        try:
            wait_for(lambda: is_ready(cell, above), what="The cell's readiness", within_s=READY_WITHIN_S)
            yield cell
        finally:
            stop(runner)
            wire.stop()
            keep_logs(above)
    finally:
        claimed.release()
        shutil.rmtree(above, ignore_errors=True)


def is_ready(cell: AttackedCell, above: Path) -> bool:
    """Whether everything runs; SystemExit when the runner has given up."""
    if cell.runner.poll() is not None:
        raise SystemExit(f"The cell did not start:\n{(above / 'runner.log').read_text('utf-8')[-3000:]}")
    return cell.all_up()


def stop(runner: "subprocess.Popen[bytes]") -> None:
    """Ask the runner to end; when it does not, its death ends its children by their leash."""
    if runner.poll() is None:
        runner.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            runner.wait(60)
    if runner.poll() is None:
        runner.kill()
        runner.wait(10)


def keep_logs(above: Path) -> None:
    """Copy what the processes said to where the person who runs this asked for it, if they did."""
    if (wanted := os.environ.get("ONECARD_FAULTS_LOGS")) and (above / "home" / CODE / "logs").exists():
        shutil.rmtree(wanted, ignore_errors=True)
        shutil.copytree(above / "home" / CODE / "logs", wanted)
        for log in (above / "runner.log", *(above / "home" / CODE).glob("*/*.log")):
            shutil.copy(log, wanted)
