"""Writes payments and refunds together with what they mean: entries, limits, events.

Invariant: a state and the posting that belongs to it are written in one transaction, and nowhere but here.
"""

from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from uuid import UUID

from chassis.time import business_day
from chassis.work import Work
from payment_svc.charges.domain import Payment, Refund, RefundState, State, begin_refund
from payment_svc.charges.events import payment_changed, refund_ended
from payment_svc.charges.store import ChargeStore
from payment_svc.ledger.domain import AccountPair, Step, transfer
from payment_svc.ledger.store import LedgerStore

_STEPS = MappingProxyType(
    {
        State.HELD: Step.HOLD,
        State.CONFIRMED: Step.SETTLE,
        State.REFUSED: Step.RELEASE,
        State.VOIDED: Step.RELEASE,
        RefundState.PENDING: Step.HOLD,
        RefundState.CONFIRMED: Step.SETTLE,
        RefundState.REFUSED: Step.RELEASE,
    }
)
"""What reaching a state does to the money; the states that are not here move nothing."""


@dataclass(frozen=True, kw_only=True)
class Books:
    """The books of one Work."""

    work: Work
    charges: ChargeStore
    ledger: LedgerStore

    async def enter_payment(self, payment: Payment) -> None:
        """Write a new payment: one that is held, or one that was refused at once and moves nothing."""
        await self.charges.add(payment)
        if payment.state is State.HELD:
            await self._move_payment(payment)
        self.work.emit(payment_changed(payment))

    async def change_payment(self, before: Payment, after: Payment) -> None:
        """Write what has become of a payment that this Work has locked."""
        if after == before:
            return
        await self.charges.save(after)
        if after.state is not before.state:
            await self._move_payment(after)
            self.work.emit(payment_changed(after))

    async def enter_refund(self, payment: Payment, refund_id: UUID, amount_fen: int, *, take_s: float) -> Refund:
        """Begin a refund of a payment that this Work has locked; raises as `begin_refund` does."""
        lease = self.work.now + timedelta(seconds=take_s)
        after, refund = begin_refund(
            payment, refund_id, amount_fen, instruction=self.work.new_id(), now=self.work.now, answer_by=lease
        )
        await self.charges.add_refund(refund)
        await self.charges.save(after)
        await self._move_refund(payment, refund)
        return refund

    async def change_refund(self, before: Refund, after: Refund, payment: Payment) -> None:
        """Write what has become of a refund; its payment is locked by this Work."""
        await self.charges.save_refund(after)
        if after.state is before.state:
            return
        if not after.is_open:
            await self.charges.save(payment)
            await self._move_refund(payment, after)
            self.work.emit(refund_ended(payment, after))

    async def _move_payment(self, payment: Payment) -> None:
        step = _STEPS.get(payment.state)
        if step is None:
            return
        charge = payment.charge
        payer = await self.payer_of(payment)
        payee = await self._venue(charge.venue) if step is Step.SETTLE else payer.settled
        if step is Step.RELEASE:  # before the accounts are locked, as when it was spent
            await self.ledger.give_back(charge.citizen, business_day(payment.created_at), charge.amount_fen)
        await self._post(payment.payment, step, payer, payee, charge.amount_fen)

    async def _move_refund(self, payment: Payment, refund: Refund) -> None:
        step = _STEPS[refund.state]
        venue = await self.ledger.pair_of_venue(payment.charge.venue, self.work.new_id, self.work.now)
        citizen = (await self.payer_of(payment)).settled
        await self._post(
            refund.refund, step, venue, citizen if step is Step.SETTLE else venue.settled, refund.amount_fen
        )

    async def _post(self, subject: UUID, step: Step, payer: AccountPair, payee: UUID, amount_fen: int) -> None:
        source, target = (payer.settled, payer.in_flight) if step is Step.HOLD else (payer.in_flight, payee)
        posting = transfer(
            self.work.new_id(), subject=subject, step=step, source=source, target=target, amount_fen=amount_fen
        )
        await self.ledger.post(posting, self.work.now)

    async def _venue(self, venue: UUID) -> UUID:
        return (await self.ledger.pair_of_venue(venue, self.work.new_id, self.work.now)).settled

    async def payer_of(self, payment: Payment) -> AccountPair:
        """Return the accounts that a payment was held on; accounts are never removed."""
        pair = await self.ledger.pair_of_citizen(payment.charge.citizen)
        assert pair is not None, "what was held was held on an account"
        return pair


async def open_books(work: Work) -> Books:
    """Open the books inside a Work."""
    connection = await work.asyncpg()
    return Books(work=work, charges=ChargeStore(connection), ledger=LedgerStore(connection))
