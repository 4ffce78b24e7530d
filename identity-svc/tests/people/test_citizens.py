"""What people see of themselves, and what other services of the cell are told of them."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from chassis.testing.service import caller
from contracts.document_number import DocumentNumber
from identity_svc.people.domain import (
    Claim,
    Enrolment,
    EnrolmentState,
    Person,
    RegisterAnswer,
    mask_name,
    mask_phone,
    person_of,
)

from ..conftest import IdentityService, somebody

CARD = caller(service="card", client="", kind="service", acr="")
OPERATOR = caller(client="first-operator", kind="operator", scopes="clients.manage", acr="urn:onecard:acr:client")
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def completed(**answer: str) -> Enrolment:
    """Return an enrolment that has just been completed."""
    claim = Claim(document_number=DocumentNumber(somebody(131).document_number), name="测试", phone="19900000131")
    told = {"area": "330100", "birth_month": "1990-03"} | answer
    return Enrolment(
        id=uuid4(),
        claim=claim,
        answer=RegisterAnswer(match=True, **told),
        state=EnrolmentState.COMPLETED,
        tries=0,
        expires_at=NOW,
    )


async def test_the_signed_in_person_sees_themselves_masked(identity: IdentityService) -> None:
    person = somebody(132)
    citizen = await identity.enrolled(person)
    body = {"name": "Reference channel", "kind": "channel", "scopes": ["openid"]}
    registered = await identity.api.call("POST", "/v1/clients", body, by=OPERATOR, key="ecard")
    me = caller(citizen=citizen, client=registered.json()["client_id"], scopes="openid")
    shown = (await identity.api.call("GET", "/v1/me", by=me)).json()
    for secret in (person.document_number, person.name, person.phone, str(citizen)):
        assert secret not in str(shown)
    assert shown["acr"] == "urn:onecard:acr:real-name"
    assert shown["phone_masked"] == person.phone[:3] + "******" + person.phone[-2:]
    assert shown["name_masked"] == "****二"
    assert shown["sub"] == (await identity.api.call("GET", "/v1/me", by=me)).json()["sub"]


async def test_nobody_sees_nobody(identity: IdentityService) -> None:
    refused = await identity.api.call("GET", "/v1/me", by=caller())
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    unknown = await identity.api.call("GET", "/v1/me", by=caller(citizen=uuid4()))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "citizen-unknown")


async def test_card_svc_finds_a_citizen_by_number(identity: IdentityService) -> None:
    person = somebody(133)
    citizen = await identity.enrolled(person)
    body = {"document_number": person.document_number}
    found = await identity.api.call("POST", "/internal/citizens/lookup", body, by=CARD)
    assert (found.status_code, found.json()) == (200, {"citizen": str(citizen)})
    for number in (somebody(134).document_number, "not a number"):
        body = {"document_number": number}
        refused = await identity.api.call("POST", "/internal/citizens/lookup", body, by=CARD)
        assert (refused.status_code, refused.json()["code"]) == (404, "citizen-unknown")


async def test_every_showing_of_names_is_an_event_about_its_citizen(identity: IdentityService) -> None:
    people = [somebody(135), somebody(136)]
    citizens = [await identity.enrolled(person) for person in people]
    body = {"citizens": [str(citizen) for citizen in citizens], "purpose": "card production"}
    shown = await identity.api.call("POST", "/internal/citizens/identity", body, by=CARD)
    assert shown.json() == [
        {"citizen": str(citizen), "name": person.name, "document_number": person.document_number}
        for citizen, person in zip(citizens, people, strict=True)
    ]
    told = await identity.said("identity.data.shown.v1")
    assert [UUID(one["data"]["citizen"]) for one in told] == citizens
    assert {one["data"]["to"] for one in told} == {"card"}
    assert {tuple(one["data"]["fields"]) for one in told} == {("name", "document_number")}
    assert people[0].name not in str(told)


async def test_who_asks_for_a_stranger_is_shown_nobody(identity: IdentityService) -> None:
    citizen = await identity.enrolled(somebody(137))
    body = {"citizens": [str(citizen), str(uuid4())], "purpose": "card production"}
    refused = await identity.api.call("POST", "/internal/citizens/identity", body, by=CARD)
    assert (refused.status_code, refused.json()["code"]) == (404, "citizen-unknown")
    assert await identity.said("identity.data.shown.v1") == []


async def test_only_card_svc_may_ask_who_is_who(identity: IdentityService) -> None:
    token = identity.api.token(CARD, "identity.find_citizen")
    body = {"citizens": [str(uuid4())], "purpose": "curiosity"}
    refused = await identity.api.call(
        "POST", "/internal/citizens/identity", body, headers={"Onecard-Token": token}, operation="identity.reveal"
    )
    assert refused.status_code == 401


def test_a_person_who_moved_is_the_same_person_in_a_new_version() -> None:
    first = person_of(completed(), None, uuid4(), NOW)
    assert first.version == 1
    moved = person_of(completed(area="330400"), first, uuid4(), NOW)
    assert (moved.citizen, moved.version, moved.area) == (first.citizen, 2, "330400")


def test_enrolling_again_unchanged_changes_nothing() -> None:
    first: Person = person_of(completed(), None, uuid4(), NOW)
    later = replace(completed(), expires_at=datetime(2026, 5, 1, tzinfo=UTC))
    assert person_of(later, first, uuid4(), datetime(2026, 5, 1, tzinfo=UTC)) == first


def test_masks_keep_the_length_and_little_else() -> None:
    assert mask_name("欧阳测试") == "***试"
    assert mask_name("测") == "*"
    assert mask_phone("19900000138") == "199******38"
