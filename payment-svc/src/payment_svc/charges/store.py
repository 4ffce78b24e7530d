"""The tables of payments and refunds, and the only SQL that touches them. Speaks asyncpg: every charge goes here.

Invariant: a charge id is decided under its own lock, so its payment and its tombstone never both come to be.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.pagination import Page, Place, page_of
from payment_svc.charges.domain import (
    Charge,
    OpenTotals,
    Payment,
    PaymentNotFound,
    Refund,
    RefundDiffers,
    RefundState,
    State,
)

CLAIM_FOR = timedelta(seconds=10)
"""How long a payment belongs to whoever claimed it; longer than the calls made for it."""

_COLUMNS = (
    "payment, charge, citizen, venue, terminal, scenario, amount_fen, refunded_fen, refunding_fen, state, refusal,"
    " void_wanted, tries, told_at, due, version, created_at, changed_at"
)
_REFUND_COLUMNS = "refund, instruction, payment, amount_fen, state, refusal, tries, due, created_at, changed_at"

_LOCK_CHARGE = "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 0))"
_FIND = f"SELECT {_COLUMNS} FROM payment WHERE charge = $1 FOR NO KEY UPDATE"
_LOCK = f"SELECT {_COLUMNS} FROM payment WHERE payment = $1 FOR NO KEY UPDATE"
_READ_OWN = f"SELECT {_COLUMNS} FROM payment WHERE payment = $1 AND citizen = $2"
_LIST_OWN = f"""
SELECT {_COLUMNS} FROM payment
WHERE citizen = $1 AND ($2::timestamptz IS NULL OR (created_at, payment) < ($2, $3))
ORDER BY created_at DESC, payment DESC LIMIT $4
"""
_ADD = f"""
INSERT INTO payment ({_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
"""
_SAVE = """
UPDATE payment SET refunded_fen = $2, refunding_fen = $3, state = $4, refusal = $5, void_wanted = $6, tries = $7,
                   told_at = $8, due = $9, version = $10, changed_at = $11
WHERE payment = $1
"""
_FIND_TOMBSTONE = "SELECT EXISTS (SELECT FROM tombstone WHERE charge = $1)"
_LAY_TOMBSTONE = "INSERT INTO tombstone (charge, laid_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING charge"

_FIND_REFUND = f"SELECT {_REFUND_COLUMNS} FROM refund WHERE refund = $1"
_LOCK_REFUND = f"{_FIND_REFUND} FOR NO KEY UPDATE"
_ADD_REFUND = f"""
INSERT INTO refund ({_REFUND_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (refund) DO NOTHING RETURNING refund
"""
_SAVE_REFUND = "UPDATE refund SET state = $2, refusal = $3, tries = $4, due = $5, changed_at = $6 WHERE refund = $1"
_REFUNDS_OF = f"SELECT {_REFUND_COLUMNS} FROM refund WHERE payment = $1 ORDER BY created_at, instruction"

# Two tables, one shape: what is due is taken by one replica and left alone by the others.
_CLAIM = """
UPDATE {table} SET due = $2
WHERE {table} IN (SELECT {table} FROM {table} WHERE due <= $1 ORDER BY due LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING {table}
"""
_CLAIM_PAYMENTS = _CLAIM.format(table="payment")
_CLAIM_REFUNDS = _CLAIM.format(table="refund")

_OPEN_TOTALS = """
SELECT (SELECT count(*) FROM payment WHERE due IS NOT NULL) AS open_payments,
       (SELECT coalesce(sum(amount_fen), 0)::bigint FROM payment WHERE due IS NOT NULL) AS open_payments_fen,
       (SELECT count(*) FROM refund WHERE due IS NOT NULL) AS open_refunds,
       (SELECT coalesce(sum(amount_fen), 0)::bigint FROM refund WHERE due IS NOT NULL) AS open_refunds_fen,
       (SELECT count(*) FROM payment JOIN (
            SELECT payment, sum(amount_fen) AS fen FROM refund WHERE state <> 'refused' GROUP BY payment) AS back
            USING (payment) WHERE back.fen > payment.amount_fen
               OR back.fen <> payment.refunded_fen + payment.refunding_fen) AS over_refunded,
       (SELECT count(*) FROM payment WHERE due IS NOT NULL AND created_at < $1)
     + (SELECT count(*) FROM refund WHERE due IS NOT NULL AND created_at < $1) AS waiting_long
"""


class ChargeStore:
    """Payments and refunds, inside one transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def lock_charge(self, charge: UUID) -> None:
        """Let nobody else decide about this charge id until the transaction ends, whether it exists or not."""
        await self._connection.execute(_LOCK_CHARGE, charge)

    async def find(self, charge: UUID) -> Payment | None:
        """Return and lock the payment of a charge."""
        row = await self._connection.fetchrow(_FIND, charge)
        return _payment(row) if row else None

    async def lock(self, payment: UUID) -> Payment:
        """Return and lock a payment that is known to exist; raises PaymentNotFound."""
        row = await self._connection.fetchrow(_LOCK, payment)
        if row is None:
            raise PaymentNotFound
        return _payment(row)

    async def read_own(self, payment: UUID, citizen: UUID) -> Payment:
        """Return a citizen's payment; raises PaymentNotFound, also for somebody else's."""
        row = await self._connection.fetchrow(_READ_OWN, payment, citizen)
        if row is None:
            raise PaymentNotFound
        return _payment(row)

    async def list_own(self, citizen: UUID, after: Place | None, limit: int) -> Page[Payment]:
        """Return a page of a citizen's payments, newest first."""
        place = (after.moment, after.id) if after else (None, None)
        rows = await self._connection.fetch(_LIST_OWN, citizen, *place, limit + 1)
        payments = [_payment(row) for row in rows]
        return page_of(payments, limit, lambda last: Place(last.created_at, last.payment))

    async def add(self, payment: Payment) -> None:
        """Insert a payment."""
        charge = payment.charge
        await self._connection.execute(
            _ADD,
            payment.payment,
            charge.charge,
            charge.citizen,
            charge.venue,
            charge.terminal,
            charge.scenario,
            charge.amount_fen,
            payment.refunded_fen,
            payment.refunding_fen,
            payment.state.value,
            payment.refusal,
            payment.void_wanted,
            payment.tries,
            payment.told_at,
            payment.due,
            payment.version,
            payment.created_at,
            payment.changed_at,
        )

    async def save(self, payment: Payment) -> None:
        """Write what may change of a payment that this transaction has locked."""
        await self._connection.execute(
            _SAVE,
            payment.payment,
            payment.refunded_fen,
            payment.refunding_fen,
            payment.state.value,
            payment.refusal,
            payment.void_wanted,
            payment.tries,
            payment.told_at,
            payment.due,
            payment.version,
            payment.changed_at,
        )

    async def has_tombstone(self, charge: UUID) -> bool:
        """Whether the charge was taken back before it arrived."""
        return bool(await self._connection.fetchval(_FIND_TOMBSTONE, charge))

    async def lay_tombstone(self, charge: UUID, now: datetime) -> bool:
        """Let a charge that is not known yet never be carried out; False when that was so already."""
        return await self._connection.fetchval(_LAY_TOMBSTONE, charge, now) is not None

    async def find_refund(self, refund: UUID) -> Refund | None:
        """Return a refund; its payment is locked before by whoever changes it."""
        row = await self._connection.fetchrow(_FIND_REFUND, refund)
        return _refund(row) if row else None

    async def lock_refund(self, refund: UUID) -> Refund:
        """Return and lock a refund that is known to exist."""
        return _refund(await self._connection.fetchrow(_LOCK_REFUND, refund))

    async def add_refund(self, refund: Refund) -> None:
        """Insert a refund; raises RefundDiffers when another payment's refund has its id."""
        added = await self._connection.fetchval(
            _ADD_REFUND,
            refund.refund,
            refund.instruction,
            refund.payment,
            refund.amount_fen,
            refund.state.value,
            refund.refusal,
            refund.tries,
            refund.due,
            refund.created_at,
            refund.changed_at,
        )
        if added is None:
            raise RefundDiffers

    async def save_refund(self, refund: Refund) -> None:
        """Write what may change of a refund."""
        await self._connection.execute(
            _SAVE_REFUND,
            refund.refund,
            refund.state.value,
            refund.refusal,
            refund.tries,
            refund.due,
            refund.changed_at,
        )

    async def refunds_of(self, payment: UUID) -> list[Refund]:
        """Return a payment's refunds, oldest first."""
        return [_refund(row) for row in await self._connection.fetch(_REFUNDS_OF, payment)]

    async def claim_payments(self, now: datetime, limit: int) -> list[UUID]:
        """Take payments whose bank is to be asked now."""
        rows = await self._connection.fetch(_CLAIM_PAYMENTS, now, now + CLAIM_FOR, limit)
        return [row["payment"] for row in rows]

    async def claim_refunds(self, now: datetime, limit: int) -> list[UUID]:
        """Take refunds whose bank is to be asked now."""
        rows = await self._connection.fetch(_CLAIM_REFUNDS, now, now + CLAIM_FOR, limit)
        return [row["refund"] for row in rows]

    async def open_totals(self, now: datetime) -> OpenTotals:
        """Sum up what is under way, in one snapshot."""
        return OpenTotals(**await self._connection.fetchrow(_OPEN_TOTALS, now - timedelta(hours=1)))


def _payment(row: Any) -> Payment:
    fields = dict(row)
    charge = Charge(
        **{name: fields.pop(name) for name in ("charge", "citizen", "venue", "terminal", "scenario", "amount_fen")}
    )
    return Payment(charge=charge, **(fields | {"state": State(fields["state"])}))


def _refund(row: Any) -> Refund:
    fields = dict(row)
    return Refund(**(fields | {"state": RefundState(fields["state"])}))
