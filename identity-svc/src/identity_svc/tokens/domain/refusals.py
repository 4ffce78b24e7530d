"""What the OAuth endpoints refuse, in the words of their standards (RFC 6749 section 5.2, RFC 8693, RFC 8707).

They are no `chassis.errors.Refusal`: these endpoints answer `{"error", "error_description"}`, not problem+json.
"""

from typing import ClassVar


class OAuthRefusal(Exception):
    """A request at an OAuth endpoint was understood and is refused."""

    error: ClassVar[str]
    status: ClassVar[int] = 400

    def __init__(self, description: str) -> None:
        self.description = description
        super().__init__(description)


class InvalidRequest(OAuthRefusal):
    """A parameter is missing, repeated or wrong; also a token that may not be exchanged (RFC 8693 section 2.2.2)."""

    error = "invalid_request"


class InvalidClient(OAuthRefusal):
    """The client did not prove who it is."""

    error = "invalid_client"
    status = 401


class InvalidGrant(OAuthRefusal):
    """The authorization code is not one, was used, or was made for somebody else."""

    error = "invalid_grant"


class UnauthorizedClient(OAuthRefusal):
    """This kind of client may not use this grant."""

    error = "unauthorized_client"


class UnsupportedGrantType(OAuthRefusal):
    """The grant is not one that we know."""

    error = "unsupported_grant_type"


class UnsupportedTokenType(OAuthRefusal):
    """Only access tokens of ours are exchanged."""

    error = "unsupported_token_type"


class InvalidScope(OAuthRefusal):
    """More scope was asked for than this client, token or policy has."""

    error = "invalid_scope"


class InvalidTarget(OAuthRefusal):
    """No policy lets this client have tokens for this audience (RFC 8707)."""

    error = "invalid_target"
