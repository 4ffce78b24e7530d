"""People and how they enrol (实名): rules only.

Invariant: whether a document number is known to the register or to us shows in nothing that an enrolment answers;
only the holder of the registered phone learns it, by the code.
"""

import secrets
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.errors import Conflict, NotFound, Refusal, TooMany, Unavailable, Unprocessable
from contracts.document_number import DocumentNumber, DocumentNumberError, parse

CODE_DIGITS: Final = 6
CODE_LIFETIME: Final = timedelta(minutes=10)
TRIES_MAX: Final = 5
KEPT_FOR: Final = timedelta(days=1)
"""How long an enrolment is remembered after its code's end, so that completing it twice is still one thing."""
_BUSINESS_DAY: Final = ZoneInfo("Asia/Shanghai")


class DocumentNumberInvalid(Unprocessable):
    """The document number is not a valid citizen number (GB 11643)."""

    code = "document-number-invalid"


class RegisterUnavailable(Unavailable):
    """The population register does not answer in time."""

    code = "register-unavailable"


class TooManyEnrolments(TooMany):
    """There were too many enrolments of this number, of this phone or by this client."""

    code = "too-many-enrolments"


class EnrolmentNotFound(NotFound):
    """There is no such enrolment."""

    code = "enrolment-not-found"


class EnrolmentExpired(Conflict):
    """The enrolment's code has expired."""

    code = "enrolment-expired"


class EnrolmentCodeWrong(Unprocessable):
    """The code is not the one that was sent to the registered phone."""

    code = "enrolment-code-wrong"


class EnrolmentTriesUsedUp(TooMany):
    """The code was guessed wrong too often; only a new enrolment helps."""

    code = "enrolment-tries-used-up"


class CitizenUnknown(NotFound):
    """Nobody is enrolled under this."""

    code = "citizen-unknown"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Who somebody says to be."""

    document_number: DocumentNumber
    name: str = field(repr=False)
    phone: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class RegisterAnswer:
    """What the population register says to a claim; area and month are the number's own when it does not match."""

    match: bool
    area: str  # of residence, GB/T 2260
    birth_month: str  # "1990-03"


class PopulationRegister(Protocol):
    """Knows which number, name and phone belong together (人口库)."""

    async def check(self, claim: Claim) -> RegisterAnswer:
        """Ask; raises RegisterUnavailable, whatever the claim."""
        ...


class EnrolmentState(StrEnum):
    """Pending until the code came back."""

    PENDING = "pending"
    COMPLETED = "completed"


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """An attempt to enrol; whether it matched is known to nobody but the holder of the registered phone."""

    id: UUID
    claim: Claim
    answer: RegisterAnswer
    state: EnrolmentState
    tries: int
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Person:
    """An enrolled person; `citizen` is the only name that others know."""

    citizen: UUID
    document_number: DocumentNumber
    name: str = field(repr=False)
    phone: str = field(repr=False)  # as registered: one-time codes go there and nowhere else
    birth_month: str  # "1990-03"
    area: str
    version: int
    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most `most` enrolments of one subject in a window."""

    most: int
    window: timedelta


@dataclass(frozen=True, kw_only=True)
class EnrolmentLimits:
    """What is bounded; every limit counts before and regardless of what the register says."""

    person: Limit  # of one document number, and of one phone
    client: Limit  # of one client; all unknown ones together are one


def read_claim(document_number: str, name: str, phone: str, now: datetime) -> Claim:
    """Read what was typed; raises DocumentNumberInvalid."""
    number = read_document_number(document_number, now)
    # One name has one form: the register and we would otherwise disagree about composed characters.
    return Claim(document_number=number, name=unicodedata.normalize("NFC", name.strip()), phone=phone)


def read_document_number(typed: str, now: datetime) -> DocumentNumber:
    """Read a citizen number as typed; raises DocumentNumberInvalid, which does not repeat it."""
    try:
        return parse(typed.strip(), now.astimezone(_BUSINESS_DAY).date())
    except DocumentNumberError as wrong:
        raise DocumentNumberInvalid(str(wrong), field="document_number") from None


def new_code() -> str:
    """Return a one-time code of six digits from the system's randomness."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"


def begin_enrolment(enrolment_id: UUID, claim: Claim, answer: RegisterAnswer, now: datetime) -> Enrolment:
    """Begin an enrolment, matching or not."""
    return Enrolment(
        id=enrolment_id,
        claim=claim,
        answer=answer,
        state=EnrolmentState.PENDING,
        tries=0,
        expires_at=now + CODE_LIFETIME,
    )


def try_code(enrolment: Enrolment, *, code_is_right: bool, now: datetime) -> tuple[Enrolment, Refusal | None]:
    """Decide on one try; the enrolment that comes back is to be saved also when the try is refused.

    What did not match is refused as a wrong code is, even when the code was guessed.
    """
    if enrolment.tries >= TRIES_MAX:
        left_s = int((enrolment.expires_at - now).total_seconds())
        return enrolment, EnrolmentTriesUsedUp(retry_after_s=max(1, left_s))
    if enrolment.state is EnrolmentState.PENDING and now >= enrolment.expires_at:
        return enrolment, EnrolmentExpired()
    if not (code_is_right and enrolment.answer.match):
        return replace(enrolment, tries=enrolment.tries + 1), EnrolmentCodeWrong(field="code")
    return replace(enrolment, state=EnrolmentState.COMPLETED), None


def person_of(enrolment: Enrolment, known: Person | None, new_citizen: UUID, now: datetime) -> Person:
    """Return the person whom a completed enrolment proves; the same object when nothing about them has changed."""
    claim, answer = enrolment.claim, enrolment.answer
    person = Person(
        citizen=known.citizen if known else new_citizen,
        document_number=claim.document_number,
        name=claim.name,
        phone=claim.phone,
        birth_month=answer.birth_month,
        area=answer.area,
        version=known.version if known else 1,
        changed_at=known.changed_at if known else now,
    )
    if known is None or person == known:
        return person
    return replace(person, version=known.version + 1, changed_at=now)


def mask_name(name: str) -> str:
    """Show the last character only, of one character nothing: 张三 -> *三."""
    return "*" * max(1, len(name) - 1) + name[1:][-1:]


def mask_phone(phone: str) -> str:
    """Show the first three and last two digits."""
    return phone[:3] + "*" * (len(phone) - 5) + phone[-2:]


def enrolment_words(code: str) -> str:
    """Return the text message that carries the code; it warns of those who ask for it."""
    return (
        f"【一卡通】您的实名认证验证码是 {code},10 分钟内有效。请勿告诉任何人。"
        f" One Card: your enrolment code is {code}, valid for 10 minutes. Tell nobody."
    )
