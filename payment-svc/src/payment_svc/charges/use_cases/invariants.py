"""The figures that anyone may ask for: the ledger sums to 0 and agrees with payments and refunds.

Invariant: all of them are of one snapshot, so a figure that does not fit is a defect and never a matter of timing.
"""

from dataclasses import dataclass

from chassis.work import Work
from payment_svc.charges.domain import OpenTotals
from payment_svc.charges.use_cases.books import open_books
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
    """Compute them in one repeatable-read snapshot; the Work must not have read anything before."""
    await work.session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    books = await open_books(work)
    return Invariants(ledger=await books.ledger.totals(), under_way=await books.charges.open_totals(work.now))
