"""What the gateway itself refuses, as one tree over the refusals of `chassis.errors`.

NoRoute            404  no line of the route file describes the request
NoToken            401  a route that needs a token, without one
TokenRevoked       401  dead: it, an ancestor, its person, client, key or binding is on the list
ScopeMissing       403  none of the scopes that the route accepts
AssuranceTooWeak   403  the person was not verified strongly enough (RFC 9470)
RevocationStale    503  the copy of the revocation list is too old for a sensitive route
NotLoaded          503  there is no copy yet
QuotaUsedUp        429  of this client, person or network address
Overloaded         503  more requests under way than the process lets in
ServiceDown        503  the service does not answer
ServiceTooLate     504  it answered too late, or broke off: a write may have happened
"""

from chassis.errors import BadRequest, Forbidden, NotFound, Refusal, TooMany, Unauthenticated, Unavailable


class NoRoute(NotFound):
    """There is no such address here; /docs lists every one."""


class BrokenRequest(BadRequest):
    """The request is not what its headers say."""


class NoToken(Unauthenticated):
    """This operation needs an access token."""


class TokenRevoked(Unauthenticated):
    """The access token has been revoked."""


class ScopeMissing(Forbidden):
    """The token does not carry a scope that this operation needs."""

    def __init__(self, scopes: frozenset[str]) -> None:
        super().__init__()
        self.scopes = scopes


class AssuranceTooWeak(Forbidden):
    """The person was not verified strongly enough for this operation."""

    code = "insufficient-assurance"

    def __init__(self, acr: str) -> None:
        super().__init__()
        self.acr = acr


class RevocationStale(Unavailable):
    """The copy of the revocation list is too old for a sensitive operation."""

    code = "revocation-stale"


class NotLoaded(Unavailable):
    """The gateway has just started and does not know the revocation list yet."""


class QuotaUsedUp(TooMany):
    """The quota of this caller is used up."""


class Overloaded(Unavailable):
    """More requests are under way than the gateway lets in."""

    code = "overloaded"


class ServiceDown(Unavailable):
    """The service behind this operation does not answer."""


class ServiceTooLate(Refusal):
    """The service did not finish in time; repeat a write with the same Idempotency-Key."""

    code = "timeout"
