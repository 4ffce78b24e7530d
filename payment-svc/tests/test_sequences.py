"""Any sequence of charges, voids, refunds, repeats, cut lines and passing time keeps the ledger sound."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chassis.testing.waiting import until

NORMAL, LATE, DUPLICATE, REFUSED, WRONG, LATE_REFUSED = 0, 95, 96, 97, 98, 99
ENDS = {"confirmed", "refused", "voided"}


def test_the_ledger_is_sound_after_every_sequence(start_payment_service):
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        service = runner.run(stack.enter_async_context(start_payment_service()))
        try:
            machine = lambda: Payments(runner, service)  # noqa: E731  # a factory is what the runner of machines takes
            few = settings(
                max_examples=12,
                stateful_step_count=12,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            )
            run_state_machine_as_test(machine, settings=few)
        finally:
            runner.run(stack.aclose())


class Payments(RuleBasedStateMachine):
    """A citizen, a venue and a bank that has good and bad days."""

    charges = Bundle("charges")
    refunds = Bundle("refunds")

    def __init__(self, runner, service):
        super().__init__()
        self.run, self.service = runner.run, service
        self.wire = service.wire
        self.wire.is_cut = self.wire.loses_answers = False
        self.citizen = self.run(service.citizen())
        self.amounts, self.ended = {}, {}

    @rule(
        target=charges,
        yuan=st.integers(1, 40),
        fen=st.sampled_from([NORMAL, LATE, DUPLICATE, REFUSED, WRONG, LATE_REFUSED]),
    )
    def charge(self, yuan, fen):
        charge = uuid4()
        self.amounts[charge] = yuan * 100 + fen
        self.note(charge, self.run(self.service.charge(self.citizen, self.amounts[charge], charge_id=charge)))
        return charge

    @rule(charge=charges)
    def repeat(self, charge):
        answer = self.run(self.service.charge(self.citizen, self.amounts[charge], charge_id=charge))
        assert answer.status_code in (200, 409)
        self.note(charge, answer)

    @rule(charge=charges)
    def void(self, charge):
        answer = self.run(self.service.void(charge))
        assert answer.status_code == 200
        self.note(charge, answer)

    @rule(target=charges)
    def void_unseen(self):
        charge = uuid4()
        self.amounts[charge] = 100
        assert self.run(self.service.void(charge)).json()["state"] == "voided"
        return charge

    @rule(target=refunds, charge=charges, share=st.integers(1, 120))
    def refund(self, charge, share):
        refund = (charge, max(1, self.amounts[charge] * share // 100), uuid4())
        assert self.run(self.service.refund(*refund)).status_code in (200, 404, 409)
        return refund

    @rule(refund=refunds)
    def refund_again(self, refund):
        assert self.run(self.service.refund(*refund)).status_code in (200, 404, 409)

    @rule(cut=st.booleans(), loses=st.booleans())
    def change_the_line(self, cut, loses):
        self.wire.is_cut, self.wire.loses_answers = cut, loses

    @rule(seconds=st.sampled_from([1, 5, 40]))
    def time_passes(self, seconds):
        self.service.clock.move(seconds=seconds)

    @invariant()
    def the_ledger_is_sound(self):
        self.run(self.service.invariants())

    def note(self, charge, answer):
        """Once somebody was told that a charge ended one way, it never ends another way."""
        state = answer.json().get("state")
        if answer.status_code == 200 and state in ENDS:
            assert self.ended.setdefault(charge, state) == state

    def teardown(self):
        self.wire.is_cut = self.wire.loses_answers = False
        self.run(until(self.nothing_is_open, within_s=30, what="every payment and refund to end"))
        self.run(self.bank_and_ledger_agree())

    async def nothing_is_open(self):
        self.service.clock.move(seconds=61)
        found = await self.service.invariants()
        return found["open_payments"] == found["open_refunds"] == 0

    async def bank_and_ledger_agree(self):
        [account] = await self.service.accounts(self.citizen)
        assert account["held_fen"] == 0
        assert await self.service.at_the_bank(account["account"]) == 100_000 - account["paid_fen"]
