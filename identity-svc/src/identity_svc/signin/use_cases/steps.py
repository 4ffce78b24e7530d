"""The steps of a sign-in: the document number, the code from the text message, the face.

Invariant: a number that nobody has takes the same statements, the same message queued and the same pages as one that
somebody has; no transaction is open while the face check's provider is asked.
"""

import unicodedata
from dataclasses import replace
from typing import Final

from chassis.egress import OutsideDown
from chassis.internal_tokens import Caller
from chassis.work import Work, Workshop
from contracts.document_number import DocumentNumber
from identity_svc.messages.use_cases import queue_sms
from identity_svc.people.domain import DocumentNumberInvalid, new_code, read_document_number
from identity_svc.people.store import PeopleStore
from identity_svc.signin.domain.sign_ins import (
    CODE_LIFETIME,
    TRIES_MAX,
    SignIn,
    Step,
    accept_code,
    accept_face,
    ask_for_code,
    code_is_open,
    code_words,
    count_wrong_code,
    start_over,
)
from identity_svc.signin.store import Counted, CountStore, SignInStore
from identity_svc.signin.use_cases.desk import (
    Ask,
    Note,
    Outcome,
    SignInDesk,
    Ticket,
    TooManySignIns,
    locked,
    locked_by_cookie,
    refused,
)
from identity_svc.signin.use_cases.finishing import finish

_NOBODY: Final = "10000000000"
"""The phone of a message that is never sent."""


async def enter_number(
    desk: SignInDesk, workshop: Workshop, caller: Caller, ticket: Ticket, typed: str, network: str
) -> Outcome:
    """Send a code to the registered phone of whoever has this number. Raises NoWayBack, TooManySignIns."""
    try:
        number = read_document_number(typed, workshop.clock())
    except DocumentNumberInvalid:
        async with workshop.begin(caller) as work:
            return Ask(sign_in=await locked(work, ticket), note=Note.NUMBER_INVALID)
    limits, person = desk.limits, number.text
    # A small Work of its own: the counters of all are held for a moment only.
    async with workshop.begin(caller) as work:
        await locked(work, ticket)
        here, total, at_network, in_total = await CountStore(work.session).add(
            [
                desk.count("network", network, limits.numbers_per_network),
                desk.count("total", "", limits.numbers_in_total),
                desk.count("codes-here", f"{person} {network}", limits.codes_per_person_here),
                desk.count("codes", person, limits.codes_per_person),
            ],
            work.now,
        )
    if not here or not total:
        raise TooManySignIns(int(limits.numbers_in_total.window.total_seconds()))
    async with workshop.begin(caller) as work:
        return await _send_code(desk, work, ticket, number, withheld=not (at_network and in_total))


async def _send_code(
    desk: SignInDesk, work: Work, ticket: Ticket, number: DocumentNumber, *, withheld: bool
) -> Outcome:
    sign_in = await locked(work, ticket)
    if sign_in.step not in (Step.NUMBER, Step.CODE):
        return Ask(sign_in=sign_in)
    person = await PeopleStore(work.session, desk.personal).by_document_number(number)
    code = new_code()
    sign_in = ask_for_code(
        sign_in,
        person.citizen if person else None,
        person_hash=desk.counted.current(number.text),
        code_hash=desk.personal.code_hash(sign_in.id, code),
        now=work.now,
    )
    await queue_sms(
        work,
        desk.personal.fields,
        phone=person.phone if person else _NOBODY,
        words=code_words(code, sign_in.request.client_name),
        until=work.now + CODE_LIFETIME,
        withheld=withheld or person is None,
    )
    await SignInStore(work.session).save(sign_in)
    return Ask(sign_in=sign_in)


async def enter_code(
    desk: SignInDesk, work: Work, ticket: Ticket, typed: str, network: str, session_cookie: str | None
) -> Outcome:
    """Try the code from the text message. Raises NoWayBack."""
    sign_in = await locked(work, ticket)
    if sign_in.step is not Step.CODE or (code_hash := sign_in.code_hash) is None:
        return Ask(sign_in=sign_in)
    store = SignInStore(work.session)
    if not code_is_open(sign_in, work.now):
        sign_in = start_over(sign_in)
        await store.save(sign_in)
        return Ask(sign_in=sign_in, note=Note.CODE_OVER)
    counts, wrong = CountStore(work.session), _wrong_codes(desk, sign_in, network)
    used_up = [await counts.is_used_up(counted, work.now) for counted in wrong]
    code = "".join(unicodedata.normalize("NFKC", typed).split())
    is_right = desk.personal.code_is(code_hash, sign_in.id, code)
    if is_right and sign_in.citizen is not None and not any(used_up):
        sign_in = accept_code(sign_in, work.now)
        if sign_in.step is Step.DONE:
            return await finish(desk, work, sign_in, session_cookie)
        await store.save(sign_in)
        return Ask(sign_in=sign_in)
    await counts.add(wrong, work.now)
    work.record(refused(sign_in, "wrong code"))
    sign_in, note = count_wrong_code(sign_in), Note.CODE_WRONG
    if sign_in.tries >= TRIES_MAX:
        sign_in, note = start_over(sign_in), Note.TRIES_OVER
    await store.save(sign_in)
    return Ask(sign_in=sign_in, note=note)


def _wrong_codes(desk: SignInDesk, sign_in: SignIn, network: str) -> list[Counted]:
    person = sign_in.person_hash or b""
    return [
        desk.count("wrong-here", person + network.encode(), desk.limits.wrong_per_person_here),
        desk.count("wrong", person, desk.limits.wrong_per_person),
    ]


async def open_face_check(desk: SignInDesk, workshop: Workshop, caller: Caller, sign_in: SignIn) -> Outcome:
    """Open a face check for a sign-in that has come so far; when the provider is down, say so."""
    async with workshop.begin(caller) as work:
        number = await _number_of(desk, work, sign_in)
    try:
        url = await desk.face.begin(number, f"{desk.issuer}/oauth/authorize?continue=face")
    except OutsideDown:
        return Ask(sign_in=sign_in, note=Note.FACE_DOWN)
    async with workshop.begin(caller) as work:
        now = await SignInStore(work.session).get(sign_in.id)
        if now is None or now.step is not Step.FACE:
            return Ask(sign_in=now or sign_in)
        now = replace(now, face_url=url)
        await SignInStore(work.session).save(now)
    return Ask(sign_in=now)


async def return_from_face(
    desk: SignInDesk, workshop: Workshop, caller: Caller, cookie: str, result: str | None, session_cookie: str | None
) -> Outcome:
    """Learn how the face check ended that this browser comes back from. Raises NoWayBack."""
    async with workshop.begin(caller) as work:
        sign_in = await locked_by_cookie(work, cookie)
        if sign_in.step is not Step.FACE:
            return Ask(sign_in=sign_in)
        number = await _number_of(desk, work, sign_in)
        # Whatever comes of it, that page of the provider's is used up.
        sign_in = replace(sign_in, face_url=None)
        await SignInStore(work.session).save(sign_in)
    if result is None:
        return Ask(sign_in=sign_in, note=Note.FACE_CANCELLED)
    try:
        passed = await desk.face.passed(number, result)
    except OutsideDown:
        return Ask(sign_in=sign_in, note=Note.FACE_DOWN)
    async with workshop.begin(caller) as work:
        sign_in = await locked_by_cookie(work, cookie)
        if sign_in.step is not Step.FACE:
            return Ask(sign_in=sign_in)
        if passed:
            return await finish(desk, work, accept_face(sign_in, work.now), session_cookie)
        work.record(refused(sign_in, "face check not passed"))
        sign_in, note = count_wrong_code(sign_in), Note.FACE_FAILED
        if sign_in.tries >= TRIES_MAX:
            sign_in, note = start_over(sign_in), Note.TRIES_OVER
        await SignInStore(work.session).save(sign_in)
    return Ask(sign_in=sign_in, note=note)


async def _number_of(desk: SignInDesk, work: Work, sign_in: SignIn) -> DocumentNumber:
    if sign_in.citizen is None:
        raise ValueError("only the sign-in of a known person comes so far")
    person = await PeopleStore(work.session, desk.personal).get(sign_in.citizen)
    return person.document_number
