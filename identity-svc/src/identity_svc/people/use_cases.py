"""Enrol people (实名), show them themselves, and tell other services of this cell who is who.

Invariant: a matching and a non-matching enrolment do the same work: the same statements, a code made and hashed, a
text message queued. No transaction is open while the register is asked, and nothing is written when it is down.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from chassis.idempotency import KeyedRequest, once
from chassis.internal_tokens import Caller
from chassis.work import Work, Workshop
from contracts.document_number import DocumentNumber
from identity_svc.messages.use_cases import queue_sms
from identity_svc.people.domain import (
    KEPT_FOR,
    CitizenUnknown,
    Claim,
    EnrolmentLimits,
    EnrolmentState,
    Limit,
    Person,
    PopulationRegister,
    RegisterAnswer,
    begin_enrolment,
    enrolment_words,
    new_code,
    person_of,
    try_code,
)
from identity_svc.people.events import data_shown, person_enrolled
from identity_svc.people.store import EnrolmentStore, PeopleStore, PersonalData

FORGET_AT_ONCE = 1_000
REVEALED = ("name", "document_number")

SubjectOf = Callable[[Work, UUID, str], Awaitable[str]]
"""Gives the pairwise subject of a citizen at a client; whoever makes tokens knows it."""


@dataclass(frozen=True, kw_only=True)
class EnrolmentDesk:
    """What enrolling needs besides the request."""

    register: PopulationRegister
    personal: PersonalData
    limits: EnrolmentLimits


@dataclass(frozen=True, kw_only=True)
class EnrolmentBegun:
    """All that an enrolment answers: the same for a match and for none."""

    id: UUID
    expires_at: datetime


class _NotSeenBefore(Exception):
    """The request is no repetition."""


async def enrol(
    desk: EnrolmentDesk, workshop: Workshop, caller: Caller, request: KeyedRequest, claim: Claim
) -> EnrolmentBegun:
    """Begin an enrolment. Refusals: TooManyEnrolments, RegisterUnavailable; neither tells whether anybody is known."""
    # A plain hash of a body with a number, a name and a phone could be tried against guesses.
    request = replace(request, body_hash=desk.personal.bodies.current(request.body_hash))
    async with workshop.begin(caller) as work:
        try:
            return await once(work, request, _not_seen_before, lambda known: _begun(desk, work, known))
        except _NotSeenBefore:
            enrolments = EnrolmentStore(work.session, desk.personal)
            for kind, subject, limit in _limited(desk, caller, claim):
                await enrolments.check_limit(kind, subject, limit, work.now)
    answer = await desk.register.check(claim)
    async with workshop.begin(caller) as work:
        return await once(
            work,
            request,
            lambda: _begin(desk, work, caller, claim, answer),
            lambda known: _begun(desk, work, known),
        )


async def _not_seen_before() -> tuple[UUID, EnrolmentBegun]:
    raise _NotSeenBefore


async def _begin(
    desk: EnrolmentDesk, work: Work, caller: Caller, claim: Claim, answer: RegisterAnswer
) -> tuple[UUID, EnrolmentBegun]:
    enrolments = EnrolmentStore(work.session, desk.personal)
    # Counted here, so that a register that is down leaves nothing behind; always in this order, so without deadlock.
    for kind, subject, limit in _limited(desk, caller, claim):
        await enrolments.count_try(kind, subject, limit, work.now)
    enrolment = begin_enrolment(work.new_id(), claim, answer, work.now)
    code = new_code()
    await enrolments.add(enrolment, code)
    await queue_sms(
        work,
        desk.personal.fields,
        phone=claim.phone,
        words=enrolment_words(code),
        until=enrolment.expires_at,
        withheld=not answer.match,
    )
    return enrolment.id, EnrolmentBegun(id=enrolment.id, expires_at=enrolment.expires_at)


async def _begun(desk: EnrolmentDesk, work: Work, enrolment_id: UUID) -> EnrolmentBegun:
    end = await EnrolmentStore(work.session, desk.personal).end_of(enrolment_id)
    return EnrolmentBegun(id=enrolment_id, expires_at=end)


def _limited(desk: EnrolmentDesk, caller: Caller, claim: Claim) -> tuple[tuple[str, str, Limit], ...]:
    return (
        ("number", claim.document_number.text, desk.limits.person),
        ("phone", claim.phone, desk.limits.person),
        ("client", caller.client, desk.limits.client),
    )


async def complete_enrolment(desk: EnrolmentDesk, workshop: Workshop, enrolment_id: UUID, code: str) -> None:
    """Complete an enrolment with the code from the registered phone; doing it twice changes nothing.

    Refusals: EnrolmentNotFound, EnrolmentExpired, EnrolmentCodeWrong, EnrolmentTriesUsedUp. A wrong code is counted,
    so the Work is committed before it is refused.
    """
    async with workshop.begin() as work:
        enrolments = EnrolmentStore(work.session, desk.personal)
        before, code_is_right = await enrolments.get(enrolment_id, code)
        enrolment, refusal = try_code(before, code_is_right=code_is_right, now=work.now)
        if enrolment != before:
            await enrolments.save(enrolment)
        if refusal is None and before.state is EnrolmentState.PENDING:
            people = PeopleStore(work.session, desk.personal)
            await people.lock_number(enrolment.claim.document_number)
            known = await people.by_document_number(enrolment.claim.document_number)
            person = person_of(enrolment, known, work.new_id(), work.now)
            if person != known:
                await people.save(person)
                work.emit(person_enrolled(person))
    if refusal is not None:
        raise refusal


async def forget_old_enrolments(desk: EnrolmentDesk, workshop: Workshop) -> bool:
    """Delete enrolments a day after their code ended, and counts whose window is over; whether more may be left."""
    longest = max(desk.limits.person.window, desk.limits.client.window)
    async with workshop.begin() as work:
        forgotten = await EnrolmentStore(work.session, desk.personal).forget(
            enrolments_before=work.now - KEPT_FOR, tries_before=work.now - longest, limit=FORGET_AT_ONCE
        )
    return forgotten >= FORGET_AT_ONCE


async def find_citizen(work: Work, personal: PersonalData, number: DocumentNumber) -> UUID:
    """Return who has this document number, for another service of this cell; raises CitizenUnknown."""
    person = await PeopleStore(work.session, personal).by_document_number(number)
    if person is None:
        raise CitizenUnknown
    return person.citizen


async def reveal(
    work: Work, personal: PersonalData, citizens: Sequence[UUID], *, to: str, purpose: str
) -> list[Person]:
    """Show name and number of citizens to another service of this cell; each showing is an event about its citizen.

    Raises CitizenUnknown when one of them is not enrolled; then nothing is shown.
    """
    asked = list(dict.fromkeys(citizens))
    known = {person.citizen: person for person in await PeopleStore(work.session, personal).get_all(asked)}
    if len(known) < len(asked):
        raise CitizenUnknown
    people = [known[citizen] for citizen in asked]
    work.emit(*(data_shown(person, REVEALED, to=to, purpose=purpose, at=work.now) for person in people))
    return people
