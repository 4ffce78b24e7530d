"""Giving money back: bounded by what remains, once per refund id, through the bank like everything else."""

import asyncio
from uuid import uuid4

from chassis.testing.waiting import until


async def paid(service, amount_fen=5000):
    """Return a citizen and a confirmed charge with its payment."""
    citizen, charge = await service.citizen(), uuid4()
    answer = (await service.charge(citizen, amount_fen, charge_id=charge)).json()
    assert answer["state"] == "confirmed"
    return citizen, charge, answer["payment_id"]


async def test_parts_are_given_back_until_nothing_remains(service):
    citizen, charge, payment_id = await paid(service)
    first = (await service.refund(charge, 2000)).json()
    assert (first["state"], first["refunded_fen"], first["remainder_fen"]) == ("confirmed", 2000, 3000)
    too_much = await service.refund(charge, 3001)
    assert (too_much.status_code, too_much.json()["code"]) == (409, "refund-exceeds-remainder")
    assert too_much.json()["field"] == "amount_fen"
    assert (await service.refund(charge, 3000)).json()["remainder_fen"] == 0
    payment = await service.payment(citizen, payment_id)
    assert [refund["amount_fen"] for refund in payment["refunds"]] == [2000, 3000]
    [account] = await service.accounts(citizen)
    assert account["paid_fen"] == 0
    assert await service.at_the_bank(account["account"]) == 100_000


async def test_a_refund_is_told_with_the_payments_whole_state(service):
    _, charge, payment_id = await paid(service)
    refund_id = uuid4()
    await service.refund(charge, 2000, refund_id)
    topic, data = (await service.told(payment_id))[-1]
    assert topic == "payment.refund.confirmed.v1"
    assert (data["refund"], data["refund_fen"], data["refunded_fen"]) == (str(refund_id), 2000, 2000)
    assert [data["version"] for _, data in await service.told(payment_id)] == [1, 2, 3, 4]


async def test_another_refund_under_the_same_id_is_refused(service):
    _, charge, _ = await paid(service)
    _, other_charge, _ = await paid(service)
    refund_id = uuid4()
    await service.refund(charge, 2000, refund_id)
    for answer in (await service.refund(charge, 1000, refund_id), await service.refund(other_charge, 2000, refund_id)):
        assert (answer.status_code, answer.json()["code"]) == (422, "refund-id-reused")


async def test_only_a_confirmed_charge_can_be_refunded(service):
    citizen, charge = await service.citizen(), uuid4()
    await service.charge(citizen, 1095, charge_id=charge)
    answer = await service.refund(charge, 100)
    assert (answer.status_code, answer.json()["code"]) == (409, "payment-not-confirmed")
    unknown = await service.refund(uuid4(), 100)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "payment-not-found")


async def test_a_refund_that_the_bank_refuses_goes_back_to_the_venue_and_may_be_asked_again(service):
    citizen, charge, payment_id = await paid(service)
    refused = (await service.refund(charge, 1097)).json()
    assert (refused["state"], refused["refusal"]) == ("refused", "bank-account-frozen")
    assert (await service.told(payment_id))[-1][0] == "payment.refund.refused.v1"
    assert (await service.invariants())["returning_fen"] == 0
    assert (await service.refund(charge, 5000)).json()["state"] == "confirmed"
    assert (await service.payment(citizen, payment_id))["refunded_fen"] == 5000


async def test_a_refund_while_the_bank_is_cut_off_is_unknown_counts_as_gone_and_settles(service):
    citizen, charge, payment_id = await paid(service)
    service.wire.is_cut = True
    unknown = (await service.refund(charge, 4000)).json()
    assert (unknown["state"], unknown["remainder_fen"]) == ("unknown", 1000)
    assert (await service.invariants())["returning_fen"] == 4000
    assert (await service.refund(charge, 1001)).json()["code"] == "refund-exceeds-remainder"
    service.wire.is_cut = False

    async def settled():
        service.clock.move(seconds=2)
        payment = await service.payment(citizen, payment_id)
        return payment["refunded_fen"] == 4000 and payment["refunding_fen"] == 0

    await until(settled, within_s=15, what="the refund")


async def test_fifty_refunds_at_once_never_give_back_more_than_was_paid(service):
    citizen, charge, payment_id = await paid(service, 5000)
    answers = await asyncio.gather(*(service.refund(charge, 300) for _ in range(50)))
    accepted = [answer for answer in answers if answer.status_code == 200]
    assert len(accepted) == 5000 // 300
    assert {a.json()["code"] for a in answers if a.status_code != 200} == {"refund-exceeds-remainder"}
    payment = await service.payment(citizen, payment_id)
    assert payment["refunded_fen"] + payment["refunding_fen"] == 300 * len(accepted)
    [account] = await service.accounts(citizen)
    assert await service.at_the_bank(account["account"]) <= 100_000
