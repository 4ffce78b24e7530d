"""The inside of the cell, as somebody sees it who stands in its network and holds its keys: what the journeys attack.

Invariant: nothing here is a way for the story; it calls services at their own ports and looks at rows, no more.
"""

import time
from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg
import httpx

from chassis.internal_tokens import HEADER, Caller, encode
from chassis.keys import KeyFolder
from contracts.edges import SERVICES, callers_of, operations_between
from onecard_local.cells import Cell, declare_cell
from onecard_local.databases import keep_passwords, owner_of, url_of
from tests.demo.cell import RunningCell
from tests.journeys.operations import Operation

NOBODY = Caller(
    service="gateway",
    cell="330000",
    citizen=None,
    acting=None,
    client="",
    kind="",
    scopes=frozenset(),
    acr="",
    jti="",
)
A_CITIZEN = UUID(int=0x0198F0C2_7D3A_7ABC_8DEF_00000000000A)  # of nobody who is enrolled
CITIZEN_SCOPES = frozenset(("openid", "card", "card.code", "card.loss", "use", "payments"))
KIND_OF_SCOPE = {"terminal": "terminal", "cards.produce": "service", "cards.handover": "service"}
QUIET = ("alembic_version", "journal_block", "journal_cursor", "journal_lease", "journal_row")
"""Tables that move by themselves; of journal_row, events are counted."""


@dataclass(frozen=True)
class Inside:
    """The cell's own declaration."""

    cell: Cell
    http: httpx.Client

    @classmethod
    def of(cls, running: RunningCell) -> "Inside":
        """Find it from what the runner says of itself."""
        base = int(running.simulators_url.rpartition(":")[2]) - 50
        return cls(declare_cell(running.home, base=base), httpx.Client(timeout=15.0, trust_env=False))

    def caller_for(self, operation: Operation) -> Caller:
        """Somebody whom the operation lets in."""
        if operation.public:
            return NOBODY
        if not operation.routed:
            callee = operation.service
            callers = [caller for caller in callers_of(callee) if operation.id in operations_between(caller, callee)]
            return replace(NOBODY, service=callers[0], client="sbx_ecard", kind="channel", citizen=A_CITIZEN)
        scope = min(operation.scopes)
        if scope in CITIZEN_SCOPES:
            person = {"citizen": A_CITIZEN, "acr": "urn:onecard:acr:real-person"}
            return replace(NOBODY, client="sbx_ecard", kind="channel", scopes=operation.scopes, **person)
        kind = KIND_OF_SCOPE.get(scope, "operator")
        return replace(NOBODY, client=f"sbx_{kind}", kind=kind, scopes=operation.scopes, acr="urn:onecard:acr:client")

    def token(self, caller: Caller, *, callee: str, operation: str, made_ago_s: float = 0.0) -> str:
        """Make a valid internal token with the newest key of an edge."""
        key = list(KeyFolder(self.cell.keys_of(caller.service)).secrets(f"edges/{caller.service}-{callee}").values())[
            -1
        ]
        now_ms = int((time.time() - made_ago_s) * 1000)
        return encode(caller, callee=callee, operation=operation, kid=key.kid, secret=key.value, now_ms=now_ms)

    def send(
        self,
        operation: Operation,
        *,
        path: str | None = None,
        token: str | None = None,
        content: bytes | None = None,
        headers: dict[str, str | bytes] | None = None,
    ) -> httpx.Response:
        """Send one request to the service's own port, as somebody whom it lets in unless a token is given."""
        if token is None:
            token = self.token(self.caller_for(operation), callee=operation.service, operation=operation.id)
        sent = {HEADER: token, "Content-Type": "application/json"} | (headers or {})
        if operation.keyed:
            sent.setdefault("Idempotency-Key", f"bad-{time.monotonic_ns()}")
        url = self.cell.service_url(operation.service) + (path or operation.url())
        return self.http.request(operation.method, url, content=content, headers=sent)

    async def rows(self) -> dict[str, tuple[int, int]]:
        """Table -> how many rows it has, and a hash of them all."""
        found: dict[str, tuple[int, int]] = {}
        passwords = keep_passwords(self.cell)
        for service in SERVICES:
            connection = await asyncpg.connect(url_of(self.cell, passwords, service, owner_of(service)))
            try:
                for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
                    table = str(row[0])
                    if table not in QUIET:
                        found[f"{service}.{table}"] = await _counted(connection, f'"{table}"')
                events = await _counted(connection, "(SELECT topic, key FROM journal_row WHERE kind = 'e')")
                found[f"{service}.events"] = events
            finally:
                await connection.close()
        return found


async def _counted(connection: asyncpg.Connection, rows: str) -> tuple[int, int]:
    # The name is one of the database's own, or stands above.
    counted = await connection.fetchrow(f"SELECT count(*), coalesce(sum(hashtext(t::text)), 0) FROM {rows} t")
    return int(counted[0]), int(counted[1])
