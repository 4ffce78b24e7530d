"""The commands: options in, the modules' work, a result on stdout and an exit code out.

Exit codes: 0 well, 1 something is not well, 2 wrong use (arguments, files, credentials, rights), 3 cannot reach.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from contracts.edges import SERVICES
from onecard import telling
from onecard.cell import Cell, World
from onecard.doctor import Check, examine
from onecard.exporting import export_journal
from onecard.failures import Failure
from onecard.ledger import read_ledger
from onecard.set_aside import SetAsideEvent, list_set_aside, retry_set_aside
from onecard.settings import DEFAULT_URL, credentials, public_url
from onecard.status import of_each_service, read_status
from onecard.verifying import read_heads, read_keys, verify_file

NOT_WELL = 1
CANNOT_REACH = 3


def _group(words: str) -> typer.Typer:
    return typer.Typer(
        help=words,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


app = _group("Operate a cell of One Card through its public API, and verify its journals without it.")
set_aside_app = _group("Events that a service could not apply.")
journal_app = _group("A service's journal, for auditors.")
app.add_typer(set_aside_app, name="set-aside")
app.add_typer(journal_app, name="journal")


def known_service(name: str | None) -> str | None:
    """Refuse a service that does not exist, before anything is asked."""
    if name is not None and name not in SERVICES:
        raise typer.BadParameter(f"the services are {', '.join(SERVICES)}")
    return name


Url = Annotated[str, typer.Option("--url", envvar="ONECARD_PUBLIC_URL", help="The public address of the cell.")]
ClientFile = Annotated[
    Path | None,
    typer.Option(
        "--client-file",
        envvar="ONECARD_OPERATOR",
        help="JSON with client_id and client_secret of an operator's client; else ONECARD_CLIENT_ID and _SECRET.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Service = Annotated[str, typer.Argument(callback=known_service, help=f"One of {', '.join(SERVICES)}.")]
AnyService = Annotated[
    str | None, typer.Argument(callback=known_service, help=f"One of {', '.join(SERVICES)}; all when left out.")
]


@contextmanager
def failures_told() -> Iterator[None]:
    """Turn a Failure into its one sentence on stderr and its exit code."""
    try:
        yield
    except Failure as failure:
        telling.print_failure(str(failure))
        raise typer.Exit(failure.exit_code) from None


@contextmanager
def the_cell(context: typer.Context, url: str, client_file: Path | None) -> Iterator[Cell]:
    """Open the cell that the options name, as the client that they name."""
    world = context.obj if isinstance(context.obj, World) else World()
    variables = (os.environ.get("ONECARD_CLIENT_ID"), os.environ.get("ONECARD_CLIENT_SECRET"))
    with failures_told(), Cell(public_url(url), credentials(client_file, *variables), world) as cell:
        yield cell


@app.command()
def status(
    context: typer.Context, url: Url = DEFAULT_URL, client_file: ClientFile = None, json: AsJson = False
) -> None:
    """Say how every service and its journal is doing."""
    with the_cell(context, url, client_file) as cell:
        lines = read_status(cell)
    if json:
        telling.print_json(telling.status_json(lines))
    else:
        telling.print_status(lines)
    if any(any(line.troubles()) for line in lines):
        raise typer.Exit(NOT_WELL)


@app.command()
def doctor(
    context: typer.Context, url: Url = DEFAULT_URL, client_file: ClientFile = None, json: AsJson = False
) -> None:
    """Check the whole cell from outside, and say what to do about what is not well."""
    checks: list[Check] = []
    with the_cell(context, url, client_file) as cell:
        for check in examine(cell):
            checks.append(check)
            if not json:
                telling.print_check(check)
    if json:
        telling.print_json(telling.doctor_json(checks))
    if checks[0].outcome == "fail":
        raise typer.Exit(CANNOT_REACH)
    if any(check.outcome == "fail" for check in checks):
        raise typer.Exit(NOT_WELL)


@app.command()
def ledger(
    context: typer.Context, url: Url = DEFAULT_URL, client_file: ClientFile = None, json: AsJson = False
) -> None:
    """Show the ledger's invariants: that all entries sum to 0, and up to where."""
    with the_cell(context, url, client_file) as cell:
        found = read_ledger(cell)
    if json:
        telling.print_json(asdict(found))
    else:
        telling.print_ledger(found)
    if not found.ok:
        raise typer.Exit(NOT_WELL)


@set_aside_app.command("list")
def list_events(
    context: typer.Context,
    service: AnyService = None,
    url: Url = DEFAULT_URL,
    client_file: ClientFile = None,
    json: AsJson = False,
) -> None:
    """List the events that could not be applied; exit code 1 when there are any."""
    with the_cell(context, url, client_file) as cell:
        found: list[SetAsideEvent]
        if service is None:
            found = [event for events in of_each_service(lambda name: list_set_aside(cell, name)) for event in events]
        else:
            found = list_set_aside(cell, service)
    if json:
        telling.print_json(telling.set_aside_json(found))
    else:
        telling.print_set_aside(found)
    if found:
        raise typer.Exit(NOT_WELL)


@set_aside_app.command("retry")
def retry(
    context: typer.Context,
    service: Service,
    source: Annotated[str, typer.Argument(callback=known_service, help="Whose event it is.")],
    key: Annotated[str, typer.Argument(help="The key that `set-aside list` shows.")],
    url: Url = DEFAULT_URL,
    client_file: ClientFile = None,
    json: AsJson = False,
) -> None:
    """Have all set-aside events of a key tried again, in order; remove the cause first."""
    with the_cell(context, url, client_file) as cell:
        retry_set_aside(cell, service, source, key)
    if json:
        telling.print_json({"service": service, "source": source, "key": key, "asked": True})
    else:
        typer.echo(f"{service}-svc tries the events of {source}/{key} again within about a second.")


@journal_app.command("export")
def export(
    context: typer.Context,
    service: Service,
    to: Annotated[Path, typer.Option("--to", help="The file to write; FILE.part until it is whole.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file when it is there.")] = False,
    url: Url = DEFAULT_URL,
    client_file: ClientFile = None,
    json: AsJson = False,
) -> None:
    """Write a service's whole journal to a file; run again, it goes on where it broke off."""
    with (
        the_cell(context, url, client_file) as cell,
        telling.progress(lambda block, rows: f"{service}: block {block}, {rows} rows") as shown,
    ):
        exported = export_journal(cell, service, to, overwrite=force, progress=shown)
    if json:
        telling.print_json(telling.exported_json(exported, str(to)))
    else:
        telling.print_exported(exported, str(to))


@journal_app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="An export.")],
    keys: Annotated[Path, typer.Option("--keys", help="Folder of <key id>.pem or a JSON Web Key Set: of this source.")],
    head: Annotated[
        list[str] | None, typer.Option("--head", help="A remembered head: BLOCK:HASH, or a file that holds some.")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="Whose journal it must be, e.g. 330000/card.")] = None,
    json: AsJson = False,
) -> None:
    """Prove an export offline, with public keys only; exit code 1 when anything in it is wrong."""
    with failures_told(), telling.progress(lambda read: f"{read / 1e6:,.0f} MB read") as shown:
        found = verify_file(file, read_keys(keys), read_heads(head or ()), source=source, progress=shown)
    if json:
        telling.print_json(telling.verification_json(found))
    else:
        telling.print_verification(found)
    if not found.verdict.is_right:
        raise typer.Exit(NOT_WELL)


def main() -> None:
    """Run the command line."""
    app(prog_name="onecard")
