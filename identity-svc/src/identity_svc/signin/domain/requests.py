"""The authorization request (RFC 6749 section 4.1.1, OIDC Core section 3.1.2.1), read and checked.

Invariant: nobody is sent to an address that the client has not registered letter by letter; what is wrong before that
is known is shown on our own page.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit, urlunsplit

from identity_svc.clients.domain import KINDS_WITH_CITIZENS, Client
from identity_svc.tokens.domain.assurance import PERSON_SCOPES, wanted_assurance
from identity_svc.tokens.domain.codes import is_challenge

VALUE_MAX: Final = 512
_PRINTABLE = re.compile(r"[\x20-\x7e]*", re.ASCII)
_SAYS_WHO = ("client_id", "redirect_uri")

Parameters = Sequence[tuple[str, str]]


class NoWayBack(Exception):
    """The client or its address is not known: the citizen is told on our own page and sent nowhere."""


class RequestRefused(Exception):
    """The request is wrong; the client is told at its own address."""

    def __init__(self, error: str, description: str) -> None:
        self.error = error
        self.description = description
        super().__init__(description)


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """Where an answer goes."""

    client_id: str
    client_name: str
    redirect_uri: str
    state: str | None

    def address(self, issuer: str, **answer: str) -> str:
        """Return the address with the answer, our name (RFC 9207) and the client's `state`."""
        values = answer | {"iss": issuer} | ({} if self.state is None else {"state": self.state})
        parts = urlsplit(self.redirect_uri)
        query = "&".join(filter(None, (parts.query, urlencode(values))))
        return urlunsplit(parts._replace(query=query))

    @property
    def origin(self) -> str:
        """Return scheme, host and port: what a form on our page may lead to."""
        parts = urlsplit(self.redirect_uri)
        return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True, kw_only=True)
class AuthorizationRequest(WayBack):
    """What a client asks a citizen for."""

    scopes: tuple[str, ...]
    challenge: str
    nonce: str | None
    acr: str  # at least so sure we must be
    prompt: str | None  # "login", "none" or nothing
    max_age_s: int | None  # the sign-in must not be older

    def to_json(self) -> dict[str, Any]:
        """Return what is kept while the citizen signs in."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Read what was kept."""
        return cls(**{**kept, "scopes": tuple(kept["scopes"])})


def named_client(parameters: Parameters) -> tuple[str, str]:
    """Return client_id and redirect_uri as they were sent; raises NoWayBack when one is missing or twice there."""
    named = [[value for name, value in parameters if name == wanted and value] for wanted in _SAYS_WHO]
    if any(len(values) != 1 or not _is_plain(values[0]) for values in named):
        raise NoWayBack
    return named[0][0], named[1][0]


def way_back(parameters: Parameters, client: Client | None) -> WayBack:
    """Return where an answer may go; raises NoWayBack."""
    client_id, redirect_uri = named_client(parameters)
    if client is None or client.client_id != client_id or client.kind not in KINDS_WITH_CITIZENS:
        raise NoWayBack
    if redirect_uri not in client.redirect_uris:
        raise NoWayBack
    states = [value for name, value in parameters if name == "state" and value]
    # A state that cannot be echoed as it came is not echoed at all.
    state = states[0] if len(states) == 1 and _is_plain(states[0]) else None
    return WayBack(client_id=client_id, client_name=client.name, redirect_uri=redirect_uri, state=state)


def read_request(parameters: Parameters, back: WayBack, client: Client) -> AuthorizationRequest:
    """Check all the rest of a request whose way back is known; raises RequestRefused."""
    values = _once_each(parameters)
    if values.get("response_type") != "code":
        raise RequestRefused("unsupported_response_type", "Only response_type=code is served.")
    if values.get("response_mode", "query") != "query":
        raise RequestRefused("invalid_request", "Only response_mode=query is served.")
    for name in ("request", "request_uri"):
        if name in values:
            raise RequestRefused(f"{name}_not_supported", "Send the parameters themselves.")
    if values.get("code_challenge_method") != "S256" or not is_challenge(values.get("code_challenge", "")):
        raise RequestRefused("invalid_request", "PKCE is needed: code_challenge with code_challenge_method=S256.")
    scopes = dict.fromkeys(values.get("scope", "").split())
    if not scopes or not scopes.keys() <= frozenset(client.scopes) & PERSON_SCOPES:
        raise RequestRefused("invalid_scope", "The client is not registered for this scope, or none is named.")
    return AuthorizationRequest(
        client_id=back.client_id,
        client_name=back.client_name,
        redirect_uri=back.redirect_uri,
        state=back.state,
        scopes=tuple(scopes),
        challenge=values["code_challenge"],
        nonce=values.get("nonce"),
        acr=wanted_assurance(values.get("acr_values", "").split()),
        prompt=_prompt(values.get("prompt")),
        max_age_s=_max_age(values.get("max_age")),
    )


def _once_each(parameters: Parameters) -> dict[str, str]:
    values = {name: value for name, value in parameters if value}
    if len({name for name, _ in parameters}) != len(parameters):
        raise RequestRefused("invalid_request", "A parameter stands more than once.")
    if not all(_is_plain(value) for value in values.values()):
        raise RequestRefused("invalid_request", f"A parameter is not of at most {VALUE_MAX} visible ASCII characters.")
    return values


def _is_plain(value: str) -> bool:
    return len(value) <= VALUE_MAX and _PRINTABLE.fullmatch(value) is not None


def _prompt(value: str | None) -> str | None:
    if value not in (None, "login", "none"):
        raise RequestRefused("invalid_request", "prompt is login or none.")
    return value


def _max_age(value: str | None) -> int | None:
    if value is None:
        return None
    if not value.isdecimal() or len(value) > 9:
        raise RequestRefused("invalid_request", "max_age is a number of seconds.")
    return int(value)
