"""The routes of people: enrolment, the own data, and questions of other services of this cell."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from chassis.web.guard import Keyed, TheCaller, TheWorkshop
from chassis.web.models import RequestModel, ResponseModel
from chassis.web.work import TheWork
from identity_svc.people import use_cases
from identity_svc.people.domain import (
    CitizenUnknown,
    DocumentNumberInvalid,
    mask_name,
    mask_phone,
    read_claim,
    read_document_number,
)
from identity_svc.people.store import PeopleStore
from identity_svc.people.use_cases import EnrolmentDesk, SubjectOf

router = APIRouter(tags=["people"])

REVEAL_AT_ONCE = 500  # the largest batch of cards

DocumentNumberText = Annotated[
    str, Field(min_length=1, max_length=32, description="Citizen number (公民身份号码), 18 characters, GB 11643.")
]


class Enrol(RequestModel):
    """Who wants to enrol, as the population register has them."""

    document_number: DocumentNumberText
    name: str = Field(max_length=50, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")
    phone: str = Field(pattern=r"^1[3-9][0-9]{9}$", description="The mobile phone that the register knows.")


class EnrolmentAccepted(ResponseModel):
    """The same whether or not the register knows the person."""

    enrolment_id: UUID
    expires_at: datetime


class CompleteEnrolment(RequestModel):
    """The code from the text message."""

    code: str = Field(pattern=r"^[0-9]{6}$")


class EnrolmentCompleted(ResponseModel):
    """The person is enrolled and can sign in."""

    status: Literal["completed"] = "completed"


class Myself(ResponseModel):
    """The signed-in person; full values never leave."""

    sub: str
    acr: str
    name_masked: str
    document_number_masked: str
    phone_masked: str


class LookUp(RequestModel):
    """Whom a counter has before it."""

    document_number: DocumentNumberText


class FoundCitizen(ResponseModel):
    """Who has the number."""

    citizen: UUID


class Reveal(RequestModel):
    """Whose identity is needed, and what for."""

    citizens: list[UUID] = Field(min_length=1, max_length=REVEAL_AT_ONCE)
    purpose: str = Field(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9 -]*$", examples=["card production"])


class RevealedCitizen(ResponseModel):
    """What is printed on a card."""

    citizen: UUID
    name: str
    document_number: str


def desk_of(request: Request) -> EnrolmentDesk:
    """Return what enrolling needs."""
    desk: EnrolmentDesk = request.app.state.enrolment_desk
    return desk


def subject_of(request: Request) -> SubjectOf:
    """Return what knows pairwise subjects."""
    subject: SubjectOf = request.app.state.subject_of
    return subject


TheDesk = Annotated[EnrolmentDesk, Depends(desk_of)]


@router.post("/v1/enrolments", operation_id="identity.enrol", status_code=202)
async def enrol(
    body: Enrol, workshop: TheWorkshop, caller: TheCaller, request: Keyed, desk: TheDesk
) -> EnrolmentAccepted:
    """Enrol a person (实名): number, name and phone are checked against the population register.

    The answer is the same whether or not they match; only a match sends a code to the registered phone.
    """
    claim = read_claim(body.document_number, body.name, body.phone, workshop.clock())
    begun = await use_cases.enrol(desk, workshop, caller, request, claim)
    return EnrolmentAccepted(enrolment_id=begun.id, expires_at=begun.expires_at)


@router.post("/v1/enrolments/{enrolment}/completion", operation_id="identity.complete_enrolment")
async def complete_enrolment(
    enrolment: UUID, body: CompleteEnrolment, workshop: TheWorkshop, desk: TheDesk
) -> EnrolmentCompleted:
    """Complete an enrolment with the code from the text message; at most five tries in ten minutes."""
    await use_cases.complete_enrolment(desk, workshop, enrolment, body.code)
    return EnrolmentCompleted()


@router.get("/v1/me", operation_id="identity.read_self")
async def read_self(
    work: TheWork, caller: TheCaller, desk: TheDesk, subject: Annotated[SubjectOf, Depends(subject_of)]
) -> Myself:
    """Show the signed-in person themselves, masked."""
    person = await PeopleStore(work.session, desk.personal).get(caller.citizen_or_refuse())
    return Myself(
        sub=await subject(work, person.citizen, caller.client),
        acr=caller.acr,
        name_masked=mask_name(person.name),
        document_number_masked=person.document_number.masked(),
        phone_masked=mask_phone(person.phone),
    )


@router.post("/internal/citizens/lookup", operation_id="identity.find_citizen")
async def find_citizen(body: LookUp, work: TheWork, desk: TheDesk) -> FoundCitizen:
    """Tell another service of this cell who has a document number."""
    try:
        number = read_document_number(body.document_number, work.now)
    except DocumentNumberInvalid:
        # For whoever asks who has it, an impossible number is a number that nobody has.
        raise CitizenUnknown from None
    return FoundCitizen(citizen=await use_cases.find_citizen(work, desk.personal, number))


@router.post("/internal/citizens/identity", operation_id="identity.reveal")
async def reveal(body: Reveal, work: TheWork, caller: TheCaller, desk: TheDesk) -> list[RevealedCitizen]:
    """Show name and number to another service of this cell; every showing is an event."""
    people = await use_cases.reveal(work, desk.personal, body.citizens, to=caller.service, purpose=body.purpose)
    return [
        RevealedCitizen(citizen=person.citizen, name=person.name, document_number=person.document_number.text)
        for person in people
    ]
