"""The journals after the attack: every cursor at its source's newest block, every export right, no version missing.

Invariant: what is verified comes through the API and is checked with public keys only, as an auditor would.
"""

import json
from collections import defaultdict
from collections.abc import Iterator

import httpx

from chassis.journal.verify import verify_export
from chassis.keys import KeyFolder
from contracts.edges import FOLLOWS
from onecard_local.callers import expect
from onecard_local.ports import SERVICES
from tests.faults.cell import CODE, AttackedCell
from tests.faults.people import Town

PAGE_BLOCKS = 500
FOLLOWED = [(service, source) for service, sources in FOLLOWS.items() for source in sources]
VERSIONED = ("card.card.", "payment.payment.", "payment.refund.", "scenario.use.")


def cursors_behind(cell: AttackedCell) -> list[str]:
    """Name the followers that have not reached their source's newest block."""
    behind = []
    for service, source in FOLLOWED:
        newest = cell.ask(
            source, "SELECT coalesce(max(n), 0) AS block, coalesce(max(last), 0) AS last FROM journal_block"
        )
        cursor = cell.ask(service, "SELECT block, position FROM journal_cursor WHERE source = $1", source)
        at = (cursor[0]["block"], cursor[0]["position"]) if cursor else (0, 0)
        if at < (newest[0]["block"], newest[0]["last"]):
            behind.append(f"{service} is at block {at[0]} of {source}, whose newest is {newest[0]['block']}")
    return behind


def rows_without_a_block(cell: AttackedCell) -> list[str]:
    """Name the services whose leader has not sealed everything that is committed."""
    waiting = []
    for service in SERVICES:
        rows = cell.ask(
            service,
            "SELECT count(*) AS rows FROM journal_row WHERE id > (SELECT coalesce(max(to_id), 0) FROM journal_block)",
        )
        if rows[0]["rows"]:
            waiting.append(f"{service} has {rows[0]['rows']} rows that are in no block")
    return waiting


def set_aside(town: Town) -> Iterator[str]:
    """Name every event that could not be applied."""
    for service in SERVICES:
        answer = town.operator.call("GET", f"/v1/services/{service}/set-aside", token=town.operator_token(False))
        for event in expect(answer, 200)["items"]:
            yield f"{service} has set aside {event['topic']} at {event['source']} {event['position']}: {event['error']}"


def journal_problems(cell: AttackedCell, town: Town) -> Iterator[str]:
    """Export and verify every journal, and look for versions that are missing or there twice."""
    for service in SERVICES:
        lines = list(export(town, service))
        verifiers = KeyFolder(cell.keys / service).publics(f"journal/public/{service}")
        known = [
            (row["block"], row["head"])
            for follower, source in FOLLOWED
            if source == service
            for row in cell.ask(follower, "SELECT block, head FROM journal_cursor WHERE source = $1", service)
            if row["block"]
        ]
        verdict = verify_export(lines, verifiers, source=f"{CODE}/{service}", known_heads=known)
        if not verdict.is_right:
            yield f"the journal of {service} does not verify: block {verdict.block}: {verdict.problem}"
        yield from gaps(service, lines)


def export(town: Town, service: str) -> Iterator[bytes]:
    """Page through a journal; each page goes on after the last block of the one before."""
    after = 0
    while True:
        path = f"/v1/services/{service}/journal?after={after}&limit={PAGE_BLOCKS}"
        page: httpx.Response = town.operator.call("GET", path, token=town.operator_token(False), timeout=30.0)
        if page.status_code != 200:
            expect(page, 200)
        lines = page.content.splitlines(keepends=True)
        yield from lines
        blocks = [json.loads(line)["block"] for line in lines if line.startswith(b'{"block"')]
        if not blocks:
            return
        after += PAGE_BLOCKS


def gaps(service: str, lines: list[bytes]) -> Iterator[str]:
    """Each aggregate tells of every version once and in order."""
    told: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        row = json.loads(line).get("row")
        if row and row[1] == "e" and row[2].startswith(VERSIONED):
            told[row[3]].append(json.loads(row[-1])["data"]["version"])
    for key, versions in told.items():
        if versions != list(range(1, len(versions) + 1)):
            yield f"{service} tells of {key} in versions {versions}"
