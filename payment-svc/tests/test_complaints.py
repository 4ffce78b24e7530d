"""What users of other payment systems complain of, each named after what went wrong there."""

import asyncio
from uuid import UUID, uuid4

from chassis.testing.service import caller
from chassis.testing.waiting import until
from payment_svc.charges.domain import Answer, Word
from payment_svc.charges.use_cases.settling import settle_payment


async def confirmed(service, amount_fen, citizen=None):
    """Return a confirmed charge, its citizen and its payment."""
    citizen, charge = citizen or await service.citizen(), uuid4()
    answer = (await service.charge(citizen, amount_fen, charge_id=charge)).json()
    assert answer["state"] == "confirmed"
    return charge, citizen, answer["payment_id"]


async def test_two_refunds_of_60_of_a_payment_of_100_do_not_both_succeed(service):
    """hyperswitch 13182."""
    charge, citizen, payment_id = await confirmed(service, 10_000)
    answers = await asyncio.gather(service.refund(charge, 6_000), service.refund(charge, 6_000))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert (await service.payment(citizen, payment_id))["refunded_fen"] == 6_000


async def test_no_answer_of_4xx_is_given_while_money_moves(service):
    """blnk 374: 409 was returned while the money moved."""
    charge, citizen, _ = await confirmed(service, 1_000)
    orders, entries = service.wire.orders(), (await service.invariants())["entries"]
    refused = [
        await service.charge(citizen, 1_001, charge_id=charge),
        await service.refund(charge, 1_001),
        await service.refund(uuid4(), 1),
        await service.charge(citizen, 0),
    ]
    assert [answer.status_code for answer in refused] == [422, 409, 404, 422]
    assert service.wire.orders() == orders
    assert (await service.invariants())["entries"] == entries


async def test_the_same_refund_sent_again_gives_back_once(service):
    """blnk 152: refunds were not idempotent."""
    charge, citizen, _ = await confirmed(service, 1_000)
    refund_id = uuid4()
    answers = await asyncio.gather(*(service.refund(charge, 400, refund_id) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    again = (await service.refund(charge, 400, refund_id)).json()
    assert (again["state"], again["refunded_fen"]) == ("confirmed", 400)
    [account] = await service.accounts(citizen)
    assert await service.at_the_bank(account["account"]) == 100_000 - 600


async def test_holds_that_are_asked_for_at_once_do_not_exceed_the_limit_together(service):
    """blnk 181: holds over-committed. Limit 5,000,000 fen a day; five charges of 1,100,000 ask at once."""
    citizen = await service.citizen()
    service.wire.is_cut = True
    answers = await asyncio.gather(*(service.charge(citizen, 1_100_000) for _ in range(5)))
    assert sorted(a.json()["refusal"] or "" for a in answers) == ["", "", "", "", "daily-limit-exceeded"]
    assert (await service.invariants())["held_fen"] == 4_400_000
    service.wire.is_cut = False


async def test_a_hold_that_was_rejected_leaves_nothing_behind(service):
    """blnk 182: a rejected hold was committed later."""
    citizen, charge = await service.citizen(), uuid4()
    assert (await service.charge(citizen, 6_000_000, charge_id=charge)).json()["state"] == "refused"
    assert (await service.invariants())["entries"] == 0
    assert (await service.charge(citizen, 6_000_000, charge_id=charge)).json()["state"] == "refused"
    assert service.wire.orders() == 0


async def test_a_timeout_is_released_as_soon_as_the_bank_says_no(service):
    """mojaloop 868: timeouts did not release."""
    citizen = await service.citizen()
    service.wire.loses_answers = True
    answer = (await service.charge(citizen, 1097)).json()
    assert answer["state"] == "unknown"
    assert (await service.invariants())["held_fen"] == 1097
    service.wire.loses_answers = False
    await service.settled(citizen, answer["payment_id"], state="refused")
    assert (await service.invariants())["held_fen"] == 0
    assert (await service.charge(citizen, 5_000_000)).json()["refusal"] == "insufficient-funds"


async def test_a_confirmation_that_comes_many_times_moves_the_money_once(service):
    """mojaloop 4115: the position doubled after settlement."""
    citizen = await service.citizen()
    answer = (await service.charge(citizen, 1095)).json()
    word, payment_id = Answer(word=Word.CONFIRMED), UUID(answer["payment_id"])
    await asyncio.gather(*(settle_payment(service.workshop, payment_id, word) for _ in range(8)))
    [account] = await service.accounts(citizen)
    assert (account["paid_fen"], account["held_fen"]) == (1095, 0)
    topics = [topic for topic, _ in await service.told(answer["payment_id"])]
    assert topics.count("payment.payment.confirmed.v1") == 1


async def test_a_hold_that_has_ended_is_no_longer_shown(service):
    """tigerbeetle 2118: expired holds were still shown."""
    citizen, charge = uuid4(), uuid4()
    service.wire.is_cut = True
    await service.enable_card(citizen)
    await service.charge(citizen, 700, charge_id=charge)
    assert (await service.accounts(citizen))[0]["held_fen"] == 700
    await service.void(charge)
    assert (await service.accounts(citizen))[0]["held_fen"] == 0
    service.wire.is_cut = False


async def test_paid_and_held_are_of_one_moment(service):
    """tigerbeetle 2693: balance and holds could not be read together. Here their sum grows by whole charges only."""
    citizen = await service.citizen()
    by, done = caller(citizen=citizen, scopes="payments"), asyncio.Event()

    async def look():
        sums = []
        while not done.is_set():
            [account] = (await service.api.call("GET", "/v1/accounts", by=by)).json()["items"]
            sums.append(account["paid_fen"] + account["held_fen"])
        return sums

    async def pay():
        for _ in range(15):
            assert (await service.charge(citizen, 100)).json()["state"] == "confirmed"
        done.set()

    one, other, _ = await asyncio.gather(look(), look(), pay())
    for sums in (one, other):
        assert sums == sorted(sums)
        assert {total % 100 for total in sums} == {0}
        assert len(set(sums)) > 2


async def test_a_retry_carries_the_same_id_to_the_bank(service):
    """formance/wallets 109: random ids broke retries."""
    citizen, charge = await service.citizen(), uuid4()
    service.wire.loses_answers = True
    first = (await service.charge(citizen, charge_id=charge)).json()
    again = (await service.charge(citizen, charge_id=charge)).json()
    assert (first["state"], again["payment_id"]) == ("unknown", first["payment_id"])
    service.wire.loses_answers = False
    await service.settled(citizen, first["payment_id"], state="confirmed")
    assert set(service.wire.order_ids) == {first["payment_id"]}
    [account] = await service.accounts(citizen)
    assert await service.at_the_bank(account["account"]) == 100_000 - 1500


async def test_two_hundred_copies_of_one_charge_are_one_charge(service):
    """Retries of a whole fleet at once."""
    citizen, charge = await service.citizen(), uuid4()
    answers = await asyncio.gather(*(service.charge(citizen, charge_id=charge) for _ in range(200)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["payment_id"] for answer in answers}) == 1
    assert service.wire.orders() == 1
    assert (await service.invariants())["entries"] == 4


async def test_a_charge_whose_process_dies_while_the_bank_is_asked_is_taken_up_again(service):
    """Stripe's rule that an effect outlives its request."""
    citizen, charge = await service.citizen(), uuid4()
    service.wire.hold_answers = asyncio.Event()
    dying = asyncio.create_task(service.charge(citizen, charge_id=charge))

    async def asked():
        return service.wire.orders()

    await until(asked, what="the order to the bank")
    dying.cancel()
    service.wire.hold_answers = None
    again = (await service.charge(citizen, charge_id=charge)).json()
    assert again["state"] == "instructed"
    service.clock.move(seconds=5)
    await service.settled(citizen, again["payment_id"], state="confirmed")
    [account] = await service.accounts(citizen)
    assert await service.at_the_bank(account["account"]) == 100_000 - 1500
