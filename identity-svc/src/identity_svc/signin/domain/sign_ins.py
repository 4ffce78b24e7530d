"""A citizen's sign-in, step by step, and the session that it leaves: rules only.

Invariant: a code from the registered phone, five tries and five minutes stand between a document number and a session;
whether anybody has that number shows in no step.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from identity_svc.signin.domain.requests import AuthorizationRequest
from identity_svc.tokens.domain.assurance import REAL_NAME, REAL_PERSON, reaches

SIGN_IN_LIFETIME: Final = timedelta(minutes=15)
CODE_LIFETIME: Final = timedelta(minutes=5)
TRIES_MAX: Final = 5
SESSION_LIFETIME: Final = timedelta(hours=8)
SESSION_IDLE: Final = timedelta(minutes=30)


class Step(StrEnum):
    """What the citizen is to do next."""

    NUMBER = "number"  # enter the document number
    CODE = "code"  # enter the code from the text message
    FACE = "face"  # look into the camera
    DONE = "done"  # nothing: a code for the client has been issued


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most `most` in each window of this length."""

    most: int
    window: timedelta


@dataclass(frozen=True, kw_only=True)
class SignInLimits:
    """How often what may happen; counted before anybody looks whether a person is known."""

    # Of one person at one network fewer than in total: whoever knows a number must not lock its owner out elsewhere.
    codes_per_person_here: Limit = Limit(most=6, window=timedelta(hours=1))
    codes_per_person: Limit = Limit(most=20, window=timedelta(hours=1))
    wrong_per_person_here: Limit = Limit(most=10, window=timedelta(hours=1))
    wrong_per_person: Limit = Limit(most=30, window=timedelta(hours=1))
    numbers_per_network: Limit = Limit(most=60, window=timedelta(minutes=10))  # many share one address
    numbers_in_total: Limit = Limit(most=6_000, window=timedelta(minutes=1))


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """One sign-in under way, in one browser."""

    id: UUID
    cookie_hash: bytes  # of what only that browser holds
    request: AuthorizationRequest
    step: Step
    expires_at: datetime
    citizen: UUID | None = None  # None also while a stranger's number is asked about
    person_hash: bytes | None = None  # keyed hash of the number that was entered, known or not
    code_hash: bytes | None = None
    code_until: datetime | None = None
    tries: int = 0
    acr: str | None = None  # reached so far
    amr: tuple[str, ...] = ()
    verified_at: datetime | None = None  # when the code was right
    face_url: str | None = None  # page of the face check under way


@dataclass(frozen=True, kw_only=True)
class Session:
    """A citizen signed in at this browser, for every client (SSO)."""

    citizen: UUID
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime
    created_at: datetime
    used_at: datetime

    def lives(self, now: datetime) -> bool:
        """Whether it is neither too old nor forgotten."""
        return now < self.created_at + SESSION_LIFETIME and now < self.used_at + SESSION_IDLE

    def serves(self, request: AuthorizationRequest, now: datetime) -> bool:
        """Whether it is fresh enough for a request, whatever assurance is asked for."""
        if request.prompt == "login":
            return False
        return request.max_age_s is None or now <= self.auth_time + timedelta(seconds=request.max_age_s)


def begin(sign_in_id: UUID, cookie_hash: bytes, request: AuthorizationRequest, now: datetime) -> SignIn:
    """Begin a sign-in with the document number."""
    return SignIn(
        id=sign_in_id, cookie_hash=cookie_hash, request=request, step=Step.NUMBER, expires_at=now + SIGN_IN_LIFETIME
    )


def step_up(sign_in: SignIn, session: Session) -> SignIn:
    """Begin where a session stands: only the face is still to be checked."""
    return replace(
        sign_in,
        step=Step.FACE,
        citizen=session.citizen,
        acr=session.acr,
        amr=session.amr,
        verified_at=session.auth_time,
    )


def ask_for_code(
    sign_in: SignIn, citizen: UUID | None, *, person_hash: bytes, code_hash: bytes, now: datetime
) -> SignIn:
    """Expect a new code; also for a stranger, who cannot get it right."""
    return replace(
        sign_in,
        step=Step.CODE,
        citizen=citizen,
        person_hash=person_hash,
        code_hash=code_hash,
        code_until=now + CODE_LIFETIME,
        tries=0,
    )


def start_over(sign_in: SignIn) -> SignIn:
    """Back to the document number; whatever was proved is forgotten."""
    return SignIn(
        id=sign_in.id,
        cookie_hash=sign_in.cookie_hash,
        request=sign_in.request,
        step=Step.NUMBER,
        expires_at=sign_in.expires_at,
    )


def code_is_open(sign_in: SignIn, now: datetime) -> bool:
    """Whether a code may still be tried."""
    until = sign_in.code_until
    return sign_in.step is Step.CODE and until is not None and now < until and sign_in.tries < TRIES_MAX


def count_wrong_code(sign_in: SignIn) -> SignIn:
    """Note a wrong code."""
    return replace(sign_in, tries=sign_in.tries + 1)


def accept_code(sign_in: SignIn, now: datetime) -> SignIn:
    """The registered phone is in the citizen's hand; go on to the face check when the request needs it."""
    reached = replace(sign_in, acr=REAL_NAME, amr=("otp", "sms"), verified_at=now, code_hash=None, tries=0)
    return replace(reached, step=Step.DONE if reaches(REAL_NAME, sign_in.request.acr) else Step.FACE)


def accept_face(sign_in: SignIn, now: datetime) -> SignIn:
    """The face is the citizen's."""
    amr = tuple(dict.fromkeys((*sign_in.amr, "face")))
    return replace(sign_in, step=Step.DONE, acr=REAL_PERSON, amr=amr, verified_at=now, face_url=None)


def code_words(code: str, client_name: str) -> str:
    """Return the text message that carries the code: for whom it is, and a warning."""
    return (
        f"【一卡通】登录验证码 {code}，5 分钟内有效，用于登录“{client_name}”。请勿告诉任何人。"
        f" One Card: {code} is your code to sign in to {client_name}, valid for 5 minutes. Tell nobody."
    )
