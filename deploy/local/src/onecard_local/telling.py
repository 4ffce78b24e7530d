"""What the person at the terminal sees: each step as it is done, and at the end one table.

Invariant: everything that is printed also makes sense without colour and without a terminal.
"""

import json
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from onecard_local.cells import Cell


class Telling:
    """Prints the steps of a start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()

    def say(self, sentence: str) -> None:
        self._console.print(f"{time.strftime('%H:%M:%S')} {sentence}", highlight=False, markup=False)

    def done(self, what: str, since: float | None = None) -> None:
        """One step is done; the time is since the start of the run unless said."""
        seconds = time.monotonic() - (self._begun if since is None else since)
        self._console.print(f"  [green]✓[/green] {what} [dim]{seconds:.1f} s[/dim]", highlight=False)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        begun = time.monotonic()
        with self._console.status(what):
            yield
        self.done(what, begun)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        with self._console.status(what):
            yield

    def refuse(self, sentence: str) -> None:
        self._console.print(f"[bold red]{'Cannot start:'}[/bold red] ", end="")
        self._console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def ready(self, cell: Cell, running: set[str], sandbox: Path) -> None:
        self._console.print(ready_table(cell, running, sandbox))
        seconds = time.monotonic() - self._begun
        self._console.print(
            f"[bold green]ready[/bold green] in {seconds:.1f} s. Ctrl-C stops everything.", highlight=False
        )


def ready_table(cell: Cell, running: set[str], sandbox: Path) -> Table:
    table = Table(title=f"One Card, cell {cell.code} ({cell.name})", show_header=False, title_justify="left")
    for style in ("bold", "", ""):
        table.add_column(style=style, overflow="fold")
    for what, rows in (
        ("Address", addresses_of(cell, running)),
        ("Person", people_of(sandbox)),
        ("Client", clients_of(sandbox, cell.home / "clients")),
    ):
        table.add_section()
        for name, words in rows:
            table.add_row(what, name, words)
    return table


def addresses_of(cell: Cell, running: set[str]) -> list[tuple[str, str]]:
    addresses = (
        ("gateway", "Gateway", cell.public_url),
        ("gateway", "Documentation", f"{cell.public_url}/docs"),
        ("ecard", "E-card page", cell.ecard_url),
        ("simulators", "Gate page", cell.gate_url),
        ("simulators", "Text messages (SMS)", f"{cell.simulators_url}/sms"),
    )
    return [*((what, url) for program, what, url in addresses if program in running), ("Logs", str(cell.logs))]


def people_of(sandbox: Path) -> list[tuple[str, str]]:
    return [
        (f"{person['name']} {person['english']}", f"{person['document_number']}  {person['phone']}  {person['story']}")
        for person in read(sandbox).get("person", [])
    ]


def clients_of(sandbox: Path, registered: Path) -> list[tuple[str, str]]:
    """The declared clients, and the file that holds what each got when it was registered."""
    rows = []
    for client in read(sandbox).get("client", []):
        file = registered / f"{client['key']}.json"
        words = str(client["kind"])
        if file.exists():
            words += f"  {json.loads(file.read_text())['client_id']}, secret in {file}"
        rows.append((str(client["name"]), words))
    return rows


def read(sandbox: Path) -> dict[str, Any]:
    return tomllib.loads(sandbox.read_text("utf-8")) if sandbox.exists() else {}
