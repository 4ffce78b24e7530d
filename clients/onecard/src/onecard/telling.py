"""What the operator sees: tables for people, the same facts as JSON for programs, progress on a terminal only.

Invariant: stdout carries the result and nothing else; everything else goes to stderr.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from onecard.doctor import Check
from onecard.exporting import Exported
from onecard.ledger import Ledger
from onecard.set_aside import PAGE_MAX, SetAsideEvent
from onecard.status import Line, NoAnswer, ServiceLine, age_words
from onecard.verifying import Verification

WIDTH = 160
"""Of what is printed into a file or a pipe."""
COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def to_people() -> Console:
    """Return stdout; outside a terminal without colour and wide enough for every line."""
    console = Console(file=sys.stdout, highlight=False)
    return console if console.is_terminal else Console(file=sys.stdout, highlight=False, width=WIDTH)


def print_json(said: dict[str, Any]) -> None:
    """Print one JSON document, pure ASCII, so that no locale and no terminal changes it."""
    sys.stdout.write(json.dumps(said, indent=2) + "\n")


def print_failure(sentence: str) -> None:
    """Print the one sentence why a command ended."""
    sys.stderr.write(f"onecard: {sentence}\n")


def moment(as_of: int) -> str:
    """Write microseconds since 1970 as RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(as_of // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def head_words(block: int, digest: bytes) -> str:
    """Write a head as `--head` reads it."""
    return f"{block}:{digest.hex()}"


@contextmanager
def progress(words: Callable[..., str]) -> Iterator[Callable[..., None]]:
    """Show how far it is on a terminal; elsewhere nothing."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield lambda *_: None
        return
    with console.status("") as status:
        yield lambda *reached: status.update(Text(words(*reached)))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        right = column.endswith(">")
        table.add_column(column.removesuffix(">"), justify="right" if right else "left", overflow="fold")
    return table


def _row(table: Table, *cells: object, style: str = "") -> None:
    """Add a row in which nothing that came from outside is taken as markup."""
    table.add_row(*(Text(str(cell)) for cell in cells), style=style)


def status_json(lines: Sequence[Line]) -> dict[str, Any]:
    """Return the status as `status --json` prints it."""
    services = []
    for line in lines:
        troubles = list(line.troubles())
        facts = {"answers": isinstance(line, ServiceLine), "well": not troubles, "troubles": troubles}
        services.append({"service": line.service} | facts | asdict(line))
    return {"well": all(service["well"] for service in services), "services": services}


def print_status(lines: Sequence[Line]) -> None:
    """Print one line for each service, and below them what is not well."""
    console = to_people()
    table = _table("service", "ready", "journal", "block>", "position>", "set aside>", "NATS", "follows")
    for line in lines:
        if isinstance(line, NoAnswer):
            _row(table, line.service, "no answer", "", "", "", "", "", "", style="red")
            continue
        follows = ", ".join(f"{f.source} {age_words(f.age_s)}" for f in line.followers) if line.leading else ""
        _row(
            table,
            line.service,
            "yes" if line.ready else "no",
            "leads" if line.leading else "does not lead",
            line.block,
            line.position,
            f"{line.set_aside}+" if line.set_aside >= PAGE_MAX else line.set_aside,
            "connected" if line.nats_connected else "none",
            follows or "-",
            style="red" if any(line.troubles()) else "",
        )
    console.print(table)
    for line in lines:
        for trouble in line.troubles():
            console.print(Text(f"{line.service}-svc {trouble.removesuffix('.')}."), style="red", soft_wrap=True)


def doctor_json(checks: Sequence[Check]) -> dict[str, Any]:
    """Return the checks as `doctor --json` prints them."""
    return {"well": all(check.outcome != "fail" for check in checks), "checks": [asdict(check) for check in checks]}


def print_check(check: Check) -> None:
    """Print one check as soon as it is made."""
    console = to_people()
    line = Text(f"{check.outcome:4}", style=COLOURS[check.outcome])
    line.append(f"  {check.name:28}  {check.found}", style="default")
    console.print(line, soft_wrap=True)
    if check.remedy:
        console.print(Text(f"      {'':28}  -> {check.remedy}"), soft_wrap=True)


def set_aside_json(events: Sequence[SetAsideEvent]) -> dict[str, Any]:
    """Return what is set aside as `set-aside list --json` prints it."""
    return {"well": not events, "events": [asdict(event) for event in events]}


def print_set_aside(events: Sequence[SetAsideEvent]) -> None:
    """Print what is set aside, a line for each event."""
    console = to_people()
    if not events:
        console.print("Nothing is set aside.")
        return
    table = _table("service", "source", "key", "position>", "event", "tries>", "next try", "error")
    for e in events:
        _row(table, e.service, e.source, e.key, e.position, e.topic, e.tries, e.due or "waits", e.error)
    console.print(table)


def exported_json(exported: Exported, file: str) -> dict[str, Any]:
    """Return an export as `journal export --json` prints it; `--head` reads this."""
    return {
        "source": exported.source,
        "file": file,
        "blocks": exported.block,
        "rows": exported.rows,
        "as_of": moment(exported.as_of) if exported.block else None,
        "head": {"n": exported.block, "hash": exported.hash.hex()} if exported.block else None,
    }


def print_exported(exported: Exported, file: str) -> None:
    """Print what was exported and the head to remember."""
    console = to_people()
    what = f"{exported.source}: {exported.block} blocks, {exported.rows} rows in {file}"
    console.print(Text(what), soft_wrap=True)
    if exported.block:
        console.print(Text(f"head {head_words(exported.block, exported.hash)}"), soft_wrap=True)


def verification_json(found: Verification) -> dict[str, Any]:
    """Return a verification as `journal verify --json` prints it; `--head` reads this."""
    verdict = found.verdict
    return {
        "right": verdict.is_right,
        "problem": verdict.problem or None,
        "wrong_block": None if verdict.is_right else verdict.block,
        "source": found.source or None,
        "blocks": verdict.blocks,
        "events": verdict.events,
        "records": verdict.records,
        "erased": verdict.erased,
        "first_as_of": None if found.first_as_of is None or not verdict.blocks else moment(found.first_as_of),
        "last_as_of": moment(verdict.as_of) if verdict.blocks else None,
        "head": {"n": verdict.blocks, "hash": verdict.head.hex()} if verdict.blocks else None,
    }


def print_verification(found: Verification) -> None:
    """Print what was found: the head to remember, or the first wrong block and why."""
    console = to_people()
    verdict = found.verdict
    if not verdict.is_right:
        sentence = f"{found.source or 'The file'} is WRONG at block {verdict.block}: {verdict.problem}."
        console.print(Text(sentence), style="bold red", soft_wrap=True)
        console.print(Text(f"Right up to block {verdict.blocks}."), soft_wrap=True)
        return
    console.print(Text(f"{found.source} is right.", style="green"))
    console.print(f"blocks   {verdict.blocks}")
    console.print(f"events   {verdict.events}")
    console.print(f"records  {verdict.records}")
    console.print(f"erased   {verdict.erased}")
    if verdict.blocks and found.first_as_of is not None:
        console.print(f"sealed   {moment(found.first_as_of)} to {moment(verdict.as_of)}")
        console.print(Text(f"head     {head_words(verdict.blocks, verdict.head)}"), soft_wrap=True)
        console.print("Remember the head: a tail cut off later shows only against it (--head).")


def print_ledger(ledger: Ledger) -> None:
    """Print the figures, money in yuan."""
    console = to_people()
    table = _table("figure", "value>")
    for name, value in asdict(ledger).items():
        if name not in ("ok", "broken"):
            words = name.replace("_fen", " (yuan)").replace("_", " ")
            _row(table, words, f"{value / 100:,.2f}" if name.endswith("_fen") else f"{value:,}")
    console.print(table)
    if ledger.ok:
        console.print("Every invariant holds.", style="green")
    else:
        console.print(Text(f"BROKEN: {', '.join(ledger.broken)}."), style="bold red", soft_wrap=True)
