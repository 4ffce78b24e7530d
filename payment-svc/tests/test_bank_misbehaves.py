"""A bank that is slow, late, silent, down, wrong or told twice: every charge ends in a known state, and only once."""

import asyncio
from uuid import UUID, uuid4

import pytest

from chassis.testing.waiting import until
from payment_svc.charges.domain import Answer, Word
from payment_svc.charges.use_cases import charging, settling
from simulators import modes

SLOW, DOWN, SILENT, LOST, LATE, DUPLICATE, WRONG, LATE_REFUSED = 91, 92, 93, 94, 95, 96, 98, 99
"""Last two digits of an amount: the simulator's magic values."""


@pytest.fixture
def impatient(monkeypatch):
    """The same conversation with shorter waits."""
    monkeypatch.setattr(charging, "ANSWER_WITHIN_S", 0.6)
    monkeypatch.setattr(settling, "PATIENCE_S", 0.5)
    monkeypatch.setattr(settling, "QUESTION_S", 0.3)


async def test_a_slow_bank_that_acted_is_found_out_by_asking_within_the_request(service, impatient):
    citizen = await service.citizen()
    answer = (await service.charge(citizen, 1000 + SLOW)).json()
    assert answer["state"] == "confirmed"
    assert service.wire.orders() == 1


async def test_a_silent_bank_that_acted_is_asked_and_the_charge_confirmed(service, impatient):
    citizen = await service.citizen()
    answer = (await service.charge(citizen, 1000 + SILENT)).json()
    assert answer["state"] == "confirmed"


async def test_while_the_bank_is_cut_off_a_charge_is_unknown_and_settles_afterwards(service, impatient):
    citizen = await service.citizen()
    service.wire.is_cut = True
    answer = (await service.charge(citizen)).json()
    assert answer["state"] == "unknown"
    [account] = await service.accounts(citizen)
    assert (account["paid_fen"], account["held_fen"]) == (0, 1500)
    assert (await service.invariants())["held_fen"] == 1500
    service.wire.is_cut = False
    service.clock.move(seconds=6)
    await service.settled(citizen, answer["payment_id"], state="confirmed")
    topics = [topic for topic, _ in await service.told(answer["payment_id"])]
    assert topics[-2:] == ["payment.payment.unknown.v1", "payment.payment.confirmed.v1"]


async def test_the_answer_comes_before_the_edge_gives_up(service):
    citizen = await service.citizen()
    service.wire.hold_answers = asyncio.Event()
    await service.bank.post("/bank/mode", json={"mode": "silent", "for_s": 60})
    loop = asyncio.get_running_loop()
    started = loop.time()
    answer = (await service.charge(citizen)).json()
    assert answer["state"] == "unknown"
    assert loop.time() - started < 1.6
    await service.bank.delete("/bank/mode")
    await service.settled(citizen, answer["payment_id"], state="confirmed")


async def test_a_late_bank_is_waited_for_as_instructed(service):
    citizen = await service.citizen()
    answer = (await service.charge(citizen, 1000 + LATE)).json()
    assert answer["state"] == "instructed"
    service.clock.move(seconds=modes.LATE_S)
    await service.settled(citizen, answer["payment_id"], state="confirmed")


async def test_a_late_refusal_gives_the_hold_back(service):
    citizen = await service.citizen()
    answer = (await service.charge(citizen, 1000 + LATE_REFUSED)).json()
    assert answer["state"] == "instructed"
    service.clock.move(seconds=modes.LATE_S)
    payment = await service.settled(citizen, answer["payment_id"], state="refused")
    assert payment["refusal"] == "bank-account-frozen"
    [account] = await service.accounts(citizen)
    assert (account["paid_fen"], account["held_fen"]) == (0, 0)


async def test_a_bank_that_says_duplicate_or_something_else_is_asked_what_is_true(service):
    citizen = await service.citizen()
    for fen in (DUPLICATE, WRONG):
        answer = (await service.charge(citizen, 1000 + fen)).json()
        assert answer["state"] == "confirmed"
    [account] = await service.accounts(citizen)
    assert account["paid_fen"] == 2000 + DUPLICATE + WRONG
    assert await service.at_the_bank(account["account"]) == 100_000 - account["paid_fen"]


async def test_a_bank_that_lost_the_order_gets_it_again_under_the_same_id(service, impatient):
    citizen = await service.citizen()
    await service.bank.post("/bank/mode", json={"mode": "lost", "count": 2})
    answer = (await service.charge(citizen)).json()
    assert answer["state"] == "unknown"
    payment = await service.settled(citizen, answer["payment_id"], state="confirmed")
    assert payment["amount_fen"] == 1500
    [account] = await service.accounts(citizen)
    assert await service.at_the_bank(account["account"]) == 100_000 - 1500


async def test_a_bank_that_is_down_is_asked_less_and_less_often(service, impatient):
    citizen = await service.citizen()
    answer = (await service.charge(citizen, 1000 + DOWN)).json()
    assert answer["state"] == "unknown"

    pauses = []
    for tries in range(2, 6):
        service.clock.move(seconds=60)

        async def asked(tries=tries):
            [row] = await service.rows("SELECT tries, due - :now AS pause FROM payment", now=service.clock())
            return row if row.tries == tries else None

        pauses.append((await until(asked, what=f"question {tries}")).pause.total_seconds())
    assert pauses == [0.6, 1.2, 2.4, 4.8]


async def test_an_answer_that_comes_after_the_end_changes_nothing_and_is_put_on_record(service, impatient):
    citizen = await service.citizen()
    service.wire.is_cut = True
    charge = uuid4()
    answer = (await service.charge(citizen, charge_id=charge)).json()
    assert (await service.void(charge)).json()["state"] == "unknown"
    service.wire.is_cut = False
    service.clock.move(seconds=40)
    await service.settled(citizen, answer["payment_id"], state="voided")
    late = Answer(word=Word.CONFIRMED)
    payment = await settling.settle_payment(service.workshop, UUID(answer["payment_id"]), late)
    assert payment.state == "voided"
    rows = await service.rows("SELECT key FROM journal_row WHERE topic = 'payment.bank.contradicted.v1'")
    assert [row.key for row in rows] == [answer["payment_id"]]
