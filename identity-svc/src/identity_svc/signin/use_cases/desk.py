"""What signing in works with, what its steps end in, and how a browser's sign-in is found again."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from chassis.crypto.keyed_hash import KeyedHashes
from chassis.work import Fact, Work
from identity_svc.people.store import PersonalData
from identity_svc.signin.adapters import FaceCheck
from identity_svc.signin.domain.requests import NoWayBack
from identity_svc.signin.domain.sign_ins import Limit, SignIn, SignInLimits, Step
from identity_svc.signin.store import Counted, SignInStore
from identity_svc.tokens.use_cases.desk import TokenDesk

REFUSED = "identity.sign_in.refused.v1"


@dataclass(frozen=True, kw_only=True)
class SignInDesk:
    """Where citizens sign in."""

    tokens: TokenDesk
    personal: PersonalData
    face: FaceCheck
    counted: KeyedHashes  # hides the subjects of counters
    limits: SignInLimits = field(default_factory=SignInLimits)

    @property
    def issuer(self) -> str:
        """Our public URL."""
        return self.tokens.smith.issuer

    def count(self, what: str, subject: str | bytes, limit: Limit) -> Counted:
        """Name something that is counted."""
        raw = subject.encode() if isinstance(subject, str) else subject
        return Counted(subject=self.counted.current(what.encode() + b"\0" + raw), limit=limit)


@dataclass(frozen=True)
class Ticket:
    """Which sign-in a browser means: the id in the page, and the secret in its cookie."""

    id: UUID
    cookie: str = field(repr=False)


class Note(StrEnum):
    """What the citizen is to be told on the next page."""

    NUMBER_INVALID = "number-invalid"
    CODE_WRONG = "code-wrong"
    CODE_OVER = "code-over"
    TRIES_OVER = "tries-over"
    FACE_FAILED = "face-failed"
    FACE_CANCELLED = "face-cancelled"
    FACE_DOWN = "face-down"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """The citizen has something to do."""

    sign_in: SignIn
    note: Note | None = None
    cookie: str | None = field(default=None, repr=False)  # to be set, for a new sign-in


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The browser goes back to the client."""

    address: str = field(repr=False)
    session_cookie: str | None = field(default=None, repr=False)  # to be set, for a new session


Outcome = Ask | Finished


class TooManySignIns(Exception):
    """This network, or all together, entered too many numbers."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__()


async def locked(work: Work, ticket: Ticket) -> SignIn:
    """Return and lock the sign-in that this browser means; raises NoWayBack."""
    return _this_browsers(work, await SignInStore(work.session).get(ticket.id), ticket.cookie)


async def locked_by_cookie(work: Work, cookie: str) -> SignIn:
    """Return and lock the sign-in that this browser began last; raises NoWayBack."""
    return _this_browsers(work, await SignInStore(work.session).of_browser(hash_of(cookie)), cookie)


def _this_browsers(work: Work, sign_in: SignIn | None, cookie: str) -> SignIn:
    if (
        sign_in is None
        or not hmac.compare_digest(sign_in.cookie_hash, hash_of(cookie))
        or sign_in.step is Step.DONE
        or work.now >= sign_in.expires_at
    ):
        raise NoWayBack
    return sign_in


def refused(sign_in: SignIn, why: str) -> Fact:
    """Return what the journal keeps of a step that was refused; nobody's number is in it."""
    details = {"sign_in": str(sign_in.id), "client": sign_in.request.client_id, "why": why}
    return Fact(topic=REFUSED, key=str(sign_in.citizen or "anonymous"), details=details, denial=True)


def new_secret() -> str:
    """Return what only one browser is to hold: 256 bits."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> bytes:
    """Hash such a secret; it is too long to be guessed, so no key is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
