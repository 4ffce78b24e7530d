"""Enrolment: only the holder of the registered phone ever learns whether a number is known."""

import asyncio
import hashlib
import json
import statistics
import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from chassis.egress import Outside
from chassis.testing.waiting import until
from identity_svc.messages.adapters import SmsProvider
from identity_svc.messages.store import SmsOutbox
from identity_svc.messages.use_cases import LEASE, send_due_messages
from identity_svc.people.domain import Claim, RegisterAnswer
from identity_svc.people.use_cases import forget_old_enrolments
from simulators.people import Person

from ..conftest import IdentityService, StartIdentity, claim_of, somebody

STRANGER = {"name": "测试另一人"}
EVERY_TABLE = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


async def all_rows(identity: IdentityService) -> dict[str, list[str]]:
    """Return every row of every table that enrolling could touch, as text."""
    tables = [row.tablename for row in await identity.rows(EVERY_TABLE)]
    return {
        table: [row[0] for row in await identity.rows(f"SELECT t::text FROM {table} AS t ORDER BY 1")]
        for table in tables
        # The leader beats in the first two; the last is the migrations' own.
        if table not in ("journal_lease", "journal_block", "alembic_version")
    }


async def a_try_has_failed(identity: IdentityService) -> None:
    """Wait until the only message was tried and put off."""

    async def put_off() -> bool:
        rows = await identity.rows("SELECT due_at, tries FROM sms_outbox")
        return bool(rows) and rows[0].tries > 0 and (rows[0].due_at - identity.clock()).total_seconds() < 3

    await until(put_off, what="a failed try")


async def test_a_match_sends_a_code_to_the_registered_phone_which_completes_the_enrolment(
    identity: IdentityService,
) -> None:
    person = somebody(101)
    begun = await identity.enrol(person)
    assert begun.status_code == 202
    code = (await identity.codes(person.phone))[0]
    completed = await identity.complete(begun.json()["enrolment_id"], code)
    assert (completed.status_code, completed.json()) == (200, {"status": "completed"})
    (told,) = await identity.said("identity.person.enrolled.v1")
    assert told["data"] | {"citizen": ""} == {
        "citizen": "",
        "birth_month": "1990-03",
        "area": "330100",
        "version": 1,
    }


async def test_no_match_is_answered_alike_and_sends_nothing(identity: IdentityService) -> None:
    known, unknown = somebody(102), somebody(103)
    right = await identity.enrol(known)
    wrong_name = await identity.enrol(unknown, **STRANGER)
    nobody = await identity.enrol(somebody(104, area="330001"))
    for answer in (wrong_name, nobody):
        assert answer.status_code == right.status_code == 202
        assert answer.json().keys() == right.json().keys()
        assert answer.json()["expires_at"] == right.json()["expires_at"]
    await identity.codes(known.phone)
    await until(identity.outbox_is_empty)
    assert await identity.inbox(unknown.phone) == []
    assert await identity.inbox(somebody(104).phone) == []


async def test_even_the_right_code_completes_nothing_that_did_not_match(
    identity: IdentityService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("identity_svc.people.use_cases.new_code", lambda: "123456")
    begun = await identity.enrol(somebody(105), **STRANGER)
    guessed = await identity.complete(begun.json()["enrolment_id"], "123456")
    assert (guessed.status_code, guessed.json()["code"]) == (422, "enrolment-code-wrong")
    assert await identity.count("person") == 0


async def test_a_match_and_no_match_send_the_same_statements(identity: IdentityService) -> None:
    engine = identity.api.app.state.runtime.engine.sync_engine
    sent: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not any(word in statement for word in ("UPDATE sms_outbox", "DELETE FROM")):  # the loops run beside
            sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    of_each: list[list[str]] = []
    for other in ({}, STRANGER):
        sent.clear()
        assert (await identity.enrol(somebody(106), **other)).status_code == 202
        of_each.append(list(sent))
    event.remove(engine, "before_cursor_execute", note)
    assert of_each[0] == of_each[1]
    assert sum("INSERT INTO enrolment" in statement for statement in of_each[0]) == 4
    assert sum("INSERT INTO sms_outbox" in statement for statement in of_each[0]) == 1


async def test_a_match_and_no_match_take_the_same_time(start_identity: StartIdentity) -> None:
    async with start_identity(sms_every_s=5.0) as identity:
        took: dict[str, list[float]] = {"match": [], "none": []}
        for turn in range(25):
            for kind, other in (("match", {}), ("none", STRANGER)):
                began = time.perf_counter()
                assert (await identity.enrol(somebody(200 + 2 * turn + (kind == "none")), **other)).status_code == 202
                took[kind].append(time.perf_counter() - began)
        match, none = (statistics.median(times) for times in took.values())
        assert abs(match - none) < 0.35 * min(match, none), f"median {match * 1000:.1f} against {none * 1000:.1f} ms"


@pytest.mark.parametrize("area", ["330091", "330092", "330093", "330098"], ids=["slow", "down", "silent", "wrong"])
async def test_whatever_the_register_does_wrong_is_503_and_leaves_nothing_behind(
    identity: IdentityService, area: str
) -> None:
    before = await all_rows(identity)
    for other in ({}, STRANGER):
        refused = await identity.enrol(somebody(107, area=area), **other)
        assert (refused.status_code, refused.json()["code"]) == (503, "register-unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
    assert await all_rows(identity) == before


async def test_a_register_that_is_down_is_soon_not_asked_any_more(identity: IdentityService) -> None:
    await identity.world.post("/register/mode", json={"mode": "silent"})
    for _ in range(5):
        await identity.enrol(somebody(108))
    began = time.perf_counter()
    refused = await identity.enrol(somebody(108))
    assert refused.json()["code"] == "register-unavailable"
    assert time.perf_counter() - began < identity.settings.register_deadline_s / 2


async def test_a_wrong_check_character_is_refused_without_repeating_the_number(identity: IdentityService) -> None:
    number = somebody(109).document_number
    wrong = number[:17] + ("0" if number[17] != "0" else "1")
    refused = await identity.enrol(somebody(109), document_number=wrong)
    assert (refused.status_code, refused.json()["code"]) == (422, "document-number-invalid")
    assert refused.json()["field"] == "document_number"
    assert wrong not in refused.text


async def test_fifty_enrolments_of_one_number_at_once_give_one_person(start_identity: StartIdentity) -> None:
    async with start_identity(enrolments_per_person_an_hour=50) as identity:
        person = somebody(110)
        begun = await asyncio.gather(*(identity.enrol(person) for _ in range(50)))
        assert {answer.status_code for answer in begun} == {202}
        assert len({answer.json()["enrolment_id"] for answer in begun}) == 50
        await until(identity.outbox_is_empty)
        rows = await identity.rows("SELECT count(DISTINCT code_hash) AS codes FROM enrolment")
        assert rows[0].codes == 50
        # The inbox keeps the last twenty: as many are completed at once, each with the code that is its own.
        codes = await identity.codes(person.phone, at_least=20)
        completed = await asyncio.gather(
            *(identity.complete(answer.json()["enrolment_id"], code) for answer in begun for code in codes[:5])
        )
        done = sum(answer.status_code == 200 for answer in completed)
        assert done == 5, sorted(answer.json().get("code", "") for answer in completed)
        assert await identity.count("person") == 1
        assert len(await identity.said("identity.person.enrolled.v1")) == 1


async def test_fifty_completions_at_once_give_one_person(
    start_identity: StartIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("identity_svc.people.use_cases.new_code", lambda: "424242")
    async with start_identity(enrolments_per_person_an_hour=50) as identity:
        begun = await asyncio.gather(*(identity.enrol(somebody(111)) for _ in range(50)))
        completed = await asyncio.gather(
            *(identity.complete(answer.json()["enrolment_id"], "424242") for answer in begun)
        )
        assert {answer.status_code for answer in completed} == {200}
        assert await identity.count("person") == 1
        assert len(await identity.said("identity.person.enrolled.v1")) == 1


async def test_completing_twice_is_completing_once(identity: IdentityService) -> None:
    person = somebody(112)
    begun = await identity.enrol(person)
    code = (await identity.codes(person.phone))[0]
    for _ in range(2):
        assert (await identity.complete(begun.json()["enrolment_id"], code)).status_code == 200
    assert len(await identity.said("identity.person.enrolled.v1")) == 1


async def test_after_five_wrong_codes_the_right_one_opens_nothing(identity: IdentityService) -> None:
    person = somebody(113)
    begun = await identity.enrol(person)
    code = (await identity.codes(person.phone))[0]
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    tries = [await identity.complete(begun.json()["enrolment_id"], wrong) for _ in range(5)]
    assert {answer.json()["code"] for answer in tries} == {"enrolment-code-wrong"}
    refused = await identity.complete(begun.json()["enrolment_id"], code)
    assert (refused.status_code, refused.json()["code"]) == (429, "enrolment-tries-used-up")
    assert await identity.count("person") == 0


async def test_a_code_lives_for_ten_minutes(identity: IdentityService) -> None:
    person = somebody(114)
    begun = await identity.enrol(person)
    code = (await identity.codes(person.phone))[0]
    identity.clock.move(minutes=10)
    refused = await identity.complete(begun.json()["enrolment_id"], code)
    assert (refused.status_code, refused.json()["code"]) == (409, "enrolment-expired")


async def test_an_enrolment_that_was_never_begun_is_not_found(identity: IdentityService) -> None:
    refused = await identity.complete(str(uuid4()), "123456")
    assert (refused.status_code, refused.json()["code"]) == (404, "enrolment-not-found")


@pytest.mark.parametrize("other", [{}, STRANGER], ids=["match", "none"])
async def test_a_sixth_enrolment_of_a_number_waits_for_the_next_hour(
    identity: IdentityService, other: dict[str, str]
) -> None:
    person = somebody(115)
    answers = [await identity.enrol(person, **other) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429]
    assert answers[5].json()["code"] == "too-many-enrolments"
    assert 3_500 <= int(answers[5].headers["Retry-After"]) <= 3_601
    identity.clock.move(hours=1)
    assert (await identity.enrol(person, **other)).status_code == 202


async def test_many_numbers_with_one_phone_are_too_many_as_well(identity: IdentityService) -> None:
    phone = somebody(116).phone
    answers = [await identity.enrol(somebody(300 + turn), phone=phone) for turn in range(6)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429]


async def test_strangers_together_have_a_limit_of_their_own(start_identity: StartIdentity) -> None:
    async with start_identity(enrolments_per_client_a_minute=3) as identity:
        answers = [await identity.enrol(somebody(400 + turn)) for turn in range(4)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429]


async def test_the_same_key_twice_is_one_enrolment_and_not_counted_again(identity: IdentityService) -> None:
    person = somebody(117)
    answers = [await identity.enrol(person, key="one") for _ in range(8)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["enrolment_id"] for answer in answers}) == 1
    other_body = await identity.enrol(person, key="one", name="测试他人")
    assert (other_body.status_code, other_body.json()["code"]) == (422, "idempotency-key-reused")


async def test_no_table_shows_who_enrolled(identity: IdentityService) -> None:
    person = somebody(118)
    await identity.enrolled(person)
    await identity.enrol(somebody(119), **STRANGER)
    stored = str(await all_rows(identity))
    for secret in (person.document_number, person.name, person.phone, STRANGER["name"]):
        assert secret not in stored
        assert secret.encode().hex() not in stored


async def test_what_idempotency_remembers_cannot_be_tried_against_guesses(identity: IdentityService) -> None:
    person = somebody(126)
    await identity.enrol(person, key="one")
    (row,) = await identity.rows("SELECT body_hash FROM idempotency")
    guessed = hashlib.sha256(json.dumps(claim_of(person)).encode()).digest()
    assert guessed not in row.body_hash
    assert len(row.body_hash) > len(guessed)


async def test_no_transaction_is_open_while_the_register_is_asked(start_identity: StartIdentity) -> None:
    async with start_identity(sms_every_s=10.0) as identity:
        state = identity.api.app.state
        asked: list[Claim] = []

        async def no_connection_is_in_use() -> bool:
            return bool(state.runtime.engine.pool.checkedout() == 0)

        class Watching:
            """The real register, asked only when the request holds no connection (the loops give theirs back)."""

            async def check(self, claim: Claim) -> RegisterAnswer:
                await until(no_connection_is_in_use, within_s=2.0)
                asked.append(claim)
                answer: RegisterAnswer = await desk.register.check(claim)
                return answer

        desk = state.enrolment_desk
        state.enrolment_desk = replace(desk, register=Watching())
        assert (await identity.enrol(somebody(127))).status_code == 202
        assert len(asked) == 1


async def test_a_message_that_the_provider_did_not_take_is_sent_later(identity: IdentityService) -> None:
    person = somebody(120)
    await identity.world.post("/sms/mode", json={"mode": "down"})
    assert (await identity.enrol(person)).status_code == 202
    await a_try_has_failed(identity)
    assert await identity.inbox(person.phone) == []
    await identity.world.delete("/sms/mode")
    identity.clock.move(seconds=3)
    await identity.codes(person.phone)
    await until(identity.outbox_is_empty)


async def test_a_message_survives_the_process_that_was_sending_it(start_identity: StartIdentity) -> None:
    async with start_identity(sms_every_s=10.0) as identity:
        person = somebody(121)
        state = identity.api.app.state
        assert (await identity.enrol(person)).status_code == 202
        async with state.runtime.workshop.begin() as work:
            outbox = SmsOutbox(work.session, state.enrolment_desk.personal.fields)
            assert len(await outbox.claim(work.now, lease=LEASE, limit=5)) == 1
        # The process that claimed it dies here; the next one finds it when the lease is over.
        provider = SmsProvider(Outside("sms", "http://outside/sms", deadline_s=1, transport=identity.world._transport))
        fields = state.enrolment_desk.personal.fields
        assert not await send_due_messages(state.runtime.workshop, fields, provider)
        identity.clock.move(seconds=LEASE.total_seconds())
        assert await send_due_messages(state.runtime.workshop, fields, provider)
        assert len(await identity.codes(person.phone)) == 1


async def test_a_code_that_could_not_be_sent_in_time_is_not_sent_at_all(identity: IdentityService) -> None:
    person = somebody(125)
    await identity.world.post("/sms/mode", json={"mode": "down"})
    await identity.enrol(person)
    await a_try_has_failed(identity)
    identity.clock.move(minutes=10)
    await identity.world.delete("/sms/mode")
    await until(identity.outbox_is_empty)
    assert await identity.inbox(person.phone) == []


async def test_ended_enrolments_are_forgotten(identity: IdentityService) -> None:
    await identity.enrol(somebody(122))
    state = identity.api.app.state
    identity.clock.move(hours=23)
    await forget_old_enrolments(state.enrolment_desk, state.runtime.workshop)
    assert (await identity.count("enrolment"), await identity.count("enrolment_tries")) == (1, 0)
    identity.clock.move(hours=2)
    await forget_old_enrolments(state.enrolment_desk, state.runtime.workshop)
    assert await identity.count("enrolment") == 0


async def test_a_wrong_field_is_named(identity: IdentityService) -> None:
    wrong = {
        "phone": ["12345", "19900000001\n", "+8619900000001"],
        "name": ["", " ", "\u0000", "甲" * 51],
        "document_number": ["", "1" * 33],
    }
    for field, values in wrong.items():
        for value in values:
            refused = await identity.enrol(somebody(123), **{field: value})
            assert (refused.status_code, refused.json()["field"]) == (422, field), (field, value)


async def test_without_a_key_nothing_is_begun(identity: IdentityService) -> None:
    person: Person = somebody(124)
    refused = await identity.api.call("POST", "/v1/enrolments", claim_of(person))
    assert (refused.status_code, refused.json()["code"]) == (400, "idempotency-key-missing")
