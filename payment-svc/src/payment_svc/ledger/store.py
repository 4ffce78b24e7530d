"""The tables of the ledger, and the only SQL that touches them. Speaks asyncpg: every charge goes through here.

Invariant: whoever posts has locked the accounts in key order; balances are moved by the entries' trigger alone.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.ids import NewId
from payment_svc.ledger.domain import BANK, AccountPair, CitizenAccount, Opening, Posting, Totals

CLAIM_FOR = timedelta(seconds=10)
"""How long an opening belongs to whoever claimed it; longer than one call to the custodian."""
CLAIM_AT_ONCE = 20

_OPEN = """
INSERT INTO account (account, owner_kind, owner, purpose, custodian, state, due, opened_at)
SELECT new.account, $1, new.owner, new.purpose, $2, new.state, new.due, $3
FROM unnest($4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::timestamptz[])
  AS new (account, owner, purpose, state, due)
ON CONFLICT (owner, owner_kind, custodian, purpose) DO NOTHING
RETURNING account, owner, purpose
"""
_PAIR = """
SELECT account, purpose, state FROM account WHERE owner = $1 AND owner_kind = $2 AND custodian = $3
"""
# In key order, so that two postings never wait for each other in a circle.
_LOCK = "SELECT FROM account WHERE account = ANY ($1::uuid[]) ORDER BY account FOR NO KEY UPDATE"
_POST = """
WITH posted AS (INSERT INTO posting (posting, subject, step, posted_at) VALUES ($1, $2, $3, $4) RETURNING posting)
INSERT INTO entry (posting, account, amount_fen)
SELECT posted.posting, line.account, line.amount_fen
FROM posted, unnest($5::uuid[], $6::bigint[]) AS line (account, amount_fen)
"""
_SPEND = """
INSERT INTO spending AS known (citizen, day, spent_fen)
SELECT $1, $2, $3::bigint FROM spending_limit WHERE custodian = $4 AND $3 <= per_day_fen
ON CONFLICT (citizen) DO UPDATE
SET day = excluded.day,
    spent_fen = excluded.spent_fen + CASE WHEN known.day = excluded.day THEN known.spent_fen ELSE 0 END
WHERE known.day <> excluded.day
   OR known.spent_fen + excluded.spent_fen <= (SELECT per_day_fen FROM spending_limit WHERE custodian = $4)
RETURNING spent_fen
"""
_GIVE_BACK = "UPDATE spending SET spent_fen = greatest(0, spent_fen - $3) WHERE citizen = $1 AND day = $2"
# One statement is one snapshot: balance and holds belong to the same moment.
_ACCOUNTS = """
SELECT settled.account, settled.custodian, settled.state, settled.opened_at,
       -settled.balance_fen - flight.balance_fen AS paid_fen, flight.balance_fen AS held_fen
FROM account AS settled
JOIN account AS flight USING (owner, owner_kind, custodian)
WHERE settled.owner = $1 AND owner_kind = 'citizen' AND settled.purpose = 'settled' AND flight.purpose = 'in_flight'
ORDER BY settled.opened_at, settled.account
"""
_CLAIM = """
UPDATE account SET due = $2, tries = tries + 1
WHERE account IN (
    SELECT account FROM account WHERE due <= $1 ORDER BY due LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING account, owner AS citizen, tries
"""
_MARK_OPEN = "UPDATE account SET state = 'open', due = NULL WHERE account = $1 AND state = 'opening'"
_PUT_OFF = "UPDATE account SET due = $2 WHERE account = $1 AND state = 'opening'"
_TOTALS = """
SELECT (SELECT coalesce(sum(amount_fen), 0)::bigint FROM entry) AS sum_fen,
       (SELECT coalesce(sum(balance_fen), 0)::bigint FROM account) AS balances_sum_fen,
       (SELECT count(*) FROM entry) AS entries,
       (SELECT count(*) FROM account) AS accounts,
       (SELECT count(*) FROM (
            SELECT FROM posting LEFT JOIN entry USING (posting) GROUP BY posting
            HAVING coalesce(sum(amount_fen), 1) <> 0) AS off) AS postings_off_balance,
       (SELECT count(*) FROM account LEFT JOIN (SELECT account, sum(amount_fen) AS fen FROM entry GROUP BY account)
            AS said USING (account) WHERE balance_fen <> coalesce(said.fen, 0)) AS accounts_adrift,
       (SELECT coalesce(sum(balance_fen), 0)::bigint FROM account
            WHERE purpose = 'in_flight' AND owner_kind = 'citizen') AS held_fen,
       (SELECT coalesce(sum(balance_fen), 0)::bigint FROM account
            WHERE purpose = 'in_flight' AND owner_kind = 'venue') AS returning_fen,
       (SELECT coalesce(max(last), 0) FROM journal_block) AS up_to_position
"""


class LedgerStore:
    """Accounts and entries, inside one transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def open_for_citizens(
        self, citizens: Sequence[UUID], new_id: NewId, now: datetime
    ) -> list[tuple[UUID, UUID]]:
        """Open accounts for those who have none; returns (account, citizen) of each new one."""
        opened = await self._open("citizen", citizens, new_id, now, state="opening")
        return [(row["account"], row["owner"]) for row in opened if row["purpose"] == "settled"]

    async def pair_of_citizen(self, citizen: UUID) -> AccountPair | None:
        """Return a citizen's accounts, or None when no card of theirs pays."""
        return await self._pair("citizen", citizen)

    async def pair_of_venue(self, venue: UUID, new_id: NewId, now: datetime) -> AccountPair:
        """Return a venue's accounts, opened when it is paid for the first time."""
        pair = await self._pair("venue", venue)
        if pair is None:
            await self._open("venue", [venue], new_id, now, state="open")
            pair = await self._pair("venue", venue)
        assert pair is not None, "just opened, here or by another transaction that has committed"
        return pair

    async def _open(
        self, kind: str, owners: Sequence[UUID], new_id: NewId, now: datetime, *, state: str
    ) -> list[dict[str, Any]]:
        # Sorted: two transactions that open the same accounts wait for each other in one direction only.
        rows = [
            (new_id(), owner, purpose, state if purpose == "settled" else "open")
            for owner in sorted(owners)
            for purpose in ("settled", "in_flight")
        ]
        columns = [list(column) for column in zip(*rows, strict=True)]
        due = [now if row[3] == "opening" else None for row in rows]
        found: list[dict[str, Any]] = await self._connection.fetch(_OPEN, kind, BANK, now, *columns, due)
        return found

    async def _pair(self, kind: str, owner: UUID) -> AccountPair | None:
        rows = await self._connection.fetch(_PAIR, owner, kind, BANK)
        by_purpose = {row["purpose"]: row for row in rows}
        if len(by_purpose) != 2:
            return None
        return AccountPair(
            settled=by_purpose["settled"]["account"],
            in_flight=by_purpose["in_flight"]["account"],
            open_at_custodian=by_purpose["settled"]["state"] == "open",
        )

    async def post(self, posting: Posting, now: datetime) -> None:
        """Write a posting; UniqueViolationError when this step of its subject was posted before."""
        accounts = [entry.account for entry in posting.entries]
        amounts = [entry.amount_fen for entry in posting.entries]
        await self._connection.execute(_LOCK, accounts)
        await self._connection.execute(
            _POST, posting.posting, posting.subject, posting.step.value, now, accounts, amounts
        )

    async def spend(self, citizen: UUID, day: date, amount_fen: int) -> bool:
        """Count `amount_fen` against the citizen's limit of `day`; False, and nothing counted, when it is too much."""
        return await self._connection.fetchval(_SPEND, citizen, day, amount_fen, BANK) is not None

    async def give_back(self, citizen: UUID, day: date, amount_fen: int) -> None:
        """Take back what was counted on `day` for a charge that came to nothing."""
        await self._connection.execute(_GIVE_BACK, citizen, day, amount_fen)

    async def accounts_of(self, citizen: UUID) -> list[CitizenAccount]:
        """Return a citizen's accounts, paid and held of one moment."""
        return [CitizenAccount(**row) for row in await self._connection.fetch(_ACCOUNTS, citizen)]

    async def claim_openings(self, now: datetime) -> list[Opening]:
        """Take accounts that are due to be told to their custodian; another replica takes others."""
        rows = await self._connection.fetch(_CLAIM, now, now + CLAIM_FOR, CLAIM_AT_ONCE)
        return [Opening(**row) for row in rows]

    async def mark_open(self, account: UUID) -> None:
        """The custodian knows the account."""
        await self._connection.execute(_MARK_OPEN, account)

    async def put_off(self, account: UUID, due: datetime) -> None:
        """The custodian did not answer; it is called again at `due`."""
        await self._connection.execute(_PUT_OFF, account, due)

    async def totals(self) -> Totals:
        """Sum up the whole ledger, in one snapshot."""
        return Totals(**await self._connection.fetchrow(_TOTALS))
