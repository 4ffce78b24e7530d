"""What a service may refuse, without knowing how the refusal travels.

    Refusal
    ├── BadRequest        400  the request itself is broken
    ├── Unauthenticated   401  nobody we know
    ├── Forbidden         403  somebody who may not
    ├── NotFound          404  no such thing, or not yours to see
    ├── Conflict          409  not in this state
    ├── TooLarge          413
    ├── Unprocessable     422  well-formed, but not allowed
    ├── TooMany           429  slow down
    └── Unavailable       503  something that we need does not answer

A refusal changes nothing: the transaction in which it is raised is rolled back. The words for citizen and
developer stand in `contracts.problems` under its `code`; its docstring is the sentence for the log.
"""

from typing import ClassVar


class Refusal(Exception):
    """The request was understood and is refused."""

    code: ClassVar[str]
    recorded: ClassVar[bool] = False
    """Whether the refusal itself is evidence and goes into the journal."""

    def __init__(self, detail: str | None = None, *, field: str | None = None) -> None:
        self.detail = detail or (self.__doc__ or "").strip().splitlines()[0]
        self.field = field
        super().__init__(self.detail)


class BadRequest(Refusal):
    """The request is not well-formed."""

    code = "malformed-request"


class Unauthenticated(Refusal):
    """The caller did not prove who it is."""

    code = "unauthenticated"


class Forbidden(Refusal):
    """The caller may not do this."""

    code = "insufficient-scope"


class NotFound(Refusal):
    """There is no such resource for this caller."""

    code = "not-found"


class Conflict(Refusal):
    """The resource is not in a state that allows this."""

    code = "changed-meanwhile"


class TooLarge(Refusal):
    """The body is larger than this operation accepts."""

    code = "too-large"


class Unprocessable(Refusal):
    """A value is well-formed but not allowed."""

    code = "invalid-field"


class TooMany(Refusal):
    """The caller has used up its quota."""

    code = "too-many-requests"

    def __init__(self, detail: str | None = None, *, retry_after_s: int = 1, field: str | None = None) -> None:
        super().__init__(detail, field=field)
        self.retry_after_s = retry_after_s


class Unavailable(Refusal):
    """Something that this operation needs does not answer."""

    code = "unavailable"

    def __init__(self, detail: str | None = None, *, retry_after_s: int = 2, field: str | None = None) -> None:
        super().__init__(detail, field=field)
        self.retry_after_s = retry_after_s


class IdempotencyKeyMissing(BadRequest):
    """This operation needs an Idempotency-Key header of 1 to 200 visible ASCII characters."""

    code = "idempotency-key-missing"


class IdempotencyKeyReused(Unprocessable):
    """This Idempotency-Key was used before with another body."""

    code = "idempotency-key-reused"


class StillRunning(Conflict):
    """A request with this Idempotency-Key is still under way."""

    code = "still-running"
