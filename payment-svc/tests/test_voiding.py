"""Taking a charge back: at once while it is held, asked about once the bank was told, and final in every case."""

import asyncio
from uuid import uuid4

from chassis.testing.waiting import until


async def test_a_held_charge_is_voided_and_the_bank_never_hears_of_it(service):
    service.wire.is_cut = True
    citizen, charge = uuid4(), uuid4()
    await service.enable_card(citizen)
    answer = (await service.charge(citizen, charge_id=charge)).json()
    assert answer["state"] == "held"
    voided = (await service.void(charge)).json()
    assert (voided["state"], voided["payment_id"]) == ("voided", answer["payment_id"])
    service.wire.is_cut = False
    [account] = await service.accounts(citizen)
    assert (account["paid_fen"], account["held_fen"]) == (0, 0)
    assert service.wire.orders() == 0


async def test_a_charge_that_arrives_after_its_void_is_refused_however_often(service):
    citizen, charge = await service.citizen(), uuid4()
    for _ in range(2):
        voided = await service.void(charge)
        assert (voided.status_code, voided.json()["state"]) == (200, "voided")
    for _ in range(2):
        answer = await service.charge(citizen, charge_id=charge)
        assert (answer.status_code, answer.json()["code"]) == (409, "charge-voided")
    assert service.wire.orders() == 0
    denied = await service.rows("SELECT topic FROM journal_row WHERE kind = 'd'")
    assert [row.topic for row in denied] == ["payment.request.refused.v1"] * 2


async def test_a_charge_and_its_void_at_once_end_one_way_or_the_other(service):
    citizen = await service.citizen()
    for _ in range(10):
        charge = uuid4()
        charged, voided = await asyncio.gather(service.charge(citizen, 100, charge_id=charge), service.void(charge))
        if charged.status_code == 409:
            assert voided.json() == {**voided.json(), "state": "voided", "payment_id": None}
            continue
        payment_id = charged.json()["payment_id"]
        if (voided.json()["state"], voided.json()["void_wanted"]) == ("confirmed", False):
            continue

        async def given_back(payment_id=payment_id):
            service.clock.move(seconds=1)
            payment = await service.payment(citizen, payment_id)
            return payment["state"] == "voided" or payment["refunded_fen"] == 100

        await until(given_back, what="the voided charge to be given back")


async def test_the_void_of_a_confirmed_charge_says_confirmed_and_gives_nothing_back(service):
    """A caller that was cut off learns that the money moved, and must not take the charge for refused."""
    citizen, charge = await service.citizen(), uuid4()
    await service.charge(citizen, charge_id=charge)
    for _ in range(2):
        answer = await service.void(charge)
        assert (answer.status_code, answer.json()["state"], answer.json()["void_wanted"]) == (200, "confirmed", False)
    [account] = await service.accounts(citizen)
    assert account["paid_fen"] == 1500
    assert (await service.refund(charge, 1500)).json()["state"] == "confirmed"


async def test_the_void_of_a_refused_charge_says_refused_and_why(service):
    citizen, charge = await service.citizen(), uuid4()
    await service.charge(citizen, 1097, charge_id=charge)
    answer = await service.void(charge)
    assert (answer.status_code, answer.json()["state"]) == (200, "refused")
    assert answer.json()["refusal"] == "bank-account-frozen"


async def test_what_was_confirmed_before_the_bank_could_be_asked_is_given_back(service):
    """The bank took the order and settles it 3 s later; the void comes in between."""
    citizen, charge = await service.citizen(), uuid4()
    answer = (await service.charge(citizen, 1095, charge_id=charge)).json()
    assert answer["state"] == "instructed"
    voided = (await service.void(charge)).json()
    assert (voided["state"], voided["void_wanted"]) == ("instructed", True)
    payment = await service.settled(citizen, answer["payment_id"], state="confirmed")

    async def refunded():
        service.clock.move(seconds=1)
        found = await service.payment(citizen, answer["payment_id"])
        return found if found["refunded_fen"] == 1095 else None

    payment = await until(refunded, what="the refund of a voided charge")
    assert [refund["state"] for refund in payment["refunds"]] == ["confirmed"]
    [account] = await service.accounts(citizen)
    assert account["paid_fen"] == 0
    assert await service.at_the_bank(account["account"]) == 100_000
    topics = [topic for topic, _ in await service.told(answer["payment_id"])]
    assert topics[-2:] == ["payment.payment.confirmed.v1", "payment.refund.confirmed.v1"]


async def test_what_the_bank_never_saw_is_voided_only_when_it_can_no_longer_arrive(service):
    citizen, charge = await service.citizen(), uuid4()
    service.wire.is_cut = True
    answer = (await service.charge(citizen, charge_id=charge)).json()
    assert answer["state"] == "unknown"
    service.wire.is_cut = False
    sent = service.wire.orders()
    assert (await service.void(charge)).json()["state"] == "unknown"
    for _ in range(2):
        assert (await service.void(charge)).json()["void_wanted"]
    service.clock.move(seconds=31)
    await service.settled(citizen, answer["payment_id"], state="voided")
    assert service.wire.orders() == sent
    again = await service.charge(citizen, charge_id=charge)
    assert (again.status_code, again.json()["code"]) == (409, "charge-voided")
