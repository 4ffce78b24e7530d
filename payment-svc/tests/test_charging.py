"""Charging from the first word to the last, with a bank that answers at once."""

from uuid import UUID, uuid4

from chassis.testing.service import caller


async def test_a_charge_is_held_instructed_and_confirmed_in_one_request(service):
    citizen = await service.citizen()
    charge = uuid4()
    answer = await service.charge(citizen, 1500, charge_id=charge)
    assert answer.status_code == 200
    assert answer.json()["state"] == "confirmed"
    payment = answer.json()["payment_id"]
    told = await service.told(payment)
    assert [topic for topic, _ in told] == [
        "payment.payment.held.v1",
        "payment.payment.instructed.v1",
        "payment.payment.confirmed.v1",
    ]
    assert [data["version"] for _, data in told] == [1, 2, 3]
    assert {data["charge"] for _, data in told} == {str(charge)}


async def test_the_money_moves_at_the_bank_as_in_the_ledger(service):
    citizen = await service.citizen()
    [account] = await service.accounts(citizen)
    before = await service.at_the_bank(account["account"])
    await service.charge(citizen, 1500)
    assert await service.at_the_bank(account["account"]) == before - 1500
    [account] = await service.accounts(citizen)
    assert (account["paid_fen"], account["held_fen"]) == (1500, 0)
    found = await service.invariants()
    assert (found["sum_fen"], found["entries"], found["held_fen"]) == (0, 4, 0)


async def test_an_enabled_card_opens_one_account_however_often_it_is_told(service):
    citizen, other = uuid4(), uuid4()
    await service.enable_card(citizen, other, citizen)
    await service.enable_card(citizen)
    [account] = await service.accounts(citizen)
    assert account["custodian"] == "bank"
    told = await service.told(account["account"])
    assert [topic for topic, _ in told] == ["payment.account.opened.v1"]
    assert told[0][1]["citizen"] == str(citizen)


async def test_a_card_without_a_bank_account_cannot_pay_and_the_refusal_is_final(service):
    citizen, charge = uuid4(), uuid4()
    await service.enable_card(citizen, level=1)
    answer = await service.charge(citizen, charge_id=charge)
    assert (answer.json()["state"], answer.json()["refusal"]) == ("refused", "no-payment-account")
    assert "银行账户" in answer.json()["show"]["zh"]
    await service.citizen()
    await service.enable_card(citizen)
    assert (await service.charge(citizen, charge_id=charge)).json()["state"] == "refused"


async def test_a_charge_waits_held_until_the_bank_knows_the_account(service):
    service.wire.is_cut = True
    citizen = uuid4()
    await service.enable_card(citizen)
    answer = (await service.charge(citizen)).json()
    assert answer["state"] == "held"
    assert service.wire.orders() == 0
    service.wire.is_cut = False
    payment = await service.settled(citizen, answer["payment_id"], state="confirmed")
    assert payment["amount_fen"] == 1500


async def test_insufficient_funds_are_refused_in_words_and_release_the_hold(service):
    citizen = await service.citizen()
    answer = (await service.charge(citizen, 100_001)).json()
    assert (answer["state"], answer["refusal"]) == ("refused", "insufficient-funds")
    assert "余额不足" in answer["show"]["zh"]
    assert "top it up" in answer["show"]["en"]
    [account] = await service.accounts(citizen)
    assert (account["paid_fen"], account["held_fen"]) == (0, 0)


async def test_a_frozen_account_is_refused_with_what_would_help(service):
    citizen = await service.citizen()
    answer = (await service.charge(citizen, 1097)).json()
    assert (answer["state"], answer["refusal"]) == ("refused", "bank-account-frozen")
    assert "开户银行" in answer["show"]["zh"]


async def test_the_daily_limit_counts_what_is_charged_and_gives_back_what_came_to_nothing(service):
    citizen = await service.citizen()
    refused_by_bank = (await service.charge(citizen, 4_999_900)).json()
    assert refused_by_bank["refusal"] == "insufficient-funds"
    assert (await service.charge(citizen, 5_000_001)).json()["refusal"] == "daily-limit-exceeded"
    assert (await service.charge(citizen, 50_000)).json()["state"] == "confirmed"
    assert (await service.charge(citizen, 4_960_000)).json()["refusal"] == "daily-limit-exceeded"
    service.clock.move(hours=24)
    assert (await service.charge(citizen, 4_960_000)).json()["refusal"] == "insufficient-funds"


async def test_somebody_elses_payment_does_not_exist(service):
    citizen = await service.citizen()
    payment = (await service.charge(citizen)).json()["payment_id"]
    stranger = caller(citizen=uuid4(), scopes="payments")
    answer = await service.api.call("GET", f"/v1/payments/{payment}", by=stranger)
    assert (answer.status_code, answer.json()["code"]) == (404, "payment-not-found")
    assert (await service.api.call("GET", "/v1/payments", by=stranger)).json()["items"] == []


async def test_payments_are_listed_newest_first_a_page_at_a_time(service):
    citizen = await service.citizen()
    made = []
    for _ in range(5):
        service.clock.move(seconds=1)
        made.append((await service.charge(citizen)).json()["payment_id"])
    by = caller(citizen=citizen, scopes="payments")
    seen, cursor = [], ""
    for _ in range(3):
        page = (await service.api.call("GET", f"/v1/payments?limit=2{cursor}", by=by)).json()
        seen += [item["payment"] for item in page["items"]]
        cursor = f"&cursor={page['next']}"
    assert seen == made[::-1]
    assert page["next"] is None


async def test_money_is_whole_fen_above_zero_and_unknown_fields_are_named(service):
    citizen = await service.citizen()
    for wrong in (0, -5, 1.5, "15", True, 10**12):
        answer = await service.charge(citizen, wrong)
        assert (answer.status_code, answer.json()["field"]) == (422, "amount_fen")
    answer = await service.charge(citizen, currency="CNY")
    assert (answer.status_code, answer.json()["field"]) == (422, "currency")


async def test_a_gateway_token_opens_no_internal_operation_of_another_name(service):
    answer = await service.api.call(
        "POST", f"/internal/charges/{UUID(int=1)}/void", by=caller(service="gateway"), operation="payment.list"
    )
    assert answer.status_code == 401
