"""What is read of payments and the ledger, each answer of one snapshot.

Invariant: figures that belong together are of the same moment, so one that does not fit is a defect, never timing.
"""

from dataclasses import dataclass
from uuid import UUID

from chassis.pagination import Page, Place
from chassis.work import Work
from payment_svc.charges.domain import OpenTotals, Payment, Refund
from payment_svc.charges.use_cases.books import Books, open_books
from payment_svc.ledger.domain import Totals


@dataclass(frozen=True, kw_only=True)
class Invariants:
    """The ledger and what is under way, at one moment."""

    ledger: Totals
    under_way: OpenTotals

    @property
    def broken(self) -> list[str]:
        """Name every invariant that does not hold."""
        ledger, under_way = self.ledger, self.under_way
        holds = {
            "entries-sum-to-0": ledger.sum_fen == 0,
            "balances-sum-to-0": ledger.balances_sum_fen == 0,
            "every-posting-balances": ledger.postings_off_balance == 0,
            "balances-are-their-entries": ledger.accounts_adrift == 0,
            "held-is-open-payments": ledger.held_fen == under_way.open_payments_fen,
            "returning-is-open-refunds": ledger.returning_fen == under_way.open_refunds_fen,
            "refunds-are-bounded": under_way.over_refunded == 0,
        }
        return [name for name, held in holds.items() if not held]


async def read_invariants(work: Work) -> Invariants:
    """Compute every figure of the ledger and of what is under way."""
    books = await _books_of_one_moment(work)
    return Invariants(ledger=await books.ledger.totals(), under_way=await books.charges.open_totals(work.now))


async def list_payments(work: Work, citizen: UUID, after: Place | None, limit: int) -> Page[Payment]:
    """Return a page of a citizen's payments, newest first."""
    return await (await open_books(work)).charges.list_own(citizen, after, limit)


async def read_payment(work: Work, payment_id: UUID, citizen: UUID) -> tuple[Payment, list[Refund]]:
    """Return a citizen's payment with its refunds; raises PaymentNotFound, also for somebody else's."""
    books = await _books_of_one_moment(work)
    payment = await books.charges.read_own(payment_id, citizen)
    return payment, await books.charges.refunds_of(payment_id)


async def _books_of_one_moment(work: Work) -> Books:
    """Open the books in a repeatable-read snapshot; the Work must not have read anything before."""
    await work.session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    return await open_books(work)
