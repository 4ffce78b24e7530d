"""Forms that arrive at the OAuth endpoints, and which client sent them (RFC 6749 sections 2.3.1 and 3.2).

Invariant: a parameter stands once or not at all, and a client proves itself in exactly one way.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Request

from chassis.work import Work
from identity_svc.clients.domain import Client
from identity_svc.clients.use_cases import authenticate_client
from identity_svc.tokens.domain.refusals import InvalidClient, InvalidRequest, InvalidTarget
from identity_svc.tokens.use_cases.desk import TokenDesk

FORM_TYPE: Final = "application/x-www-form-urlencoded"
FIELDS_MAX: Final = 40
AUTHENTICATION_METHODS: Final = ("client_secret_basic", "client_secret_post")


@dataclass(frozen=True)
class Form:
    """The parameters of one request; an empty one counts as absent."""

    values: Mapping[str, str] = field(repr=False)

    def get(self, name: str) -> str | None:
        """Return a parameter, or None."""
        return self.values.get(name)

    def need(self, name: str) -> str:
        """Return a parameter; raises InvalidRequest when it is absent."""
        value = self.values.get(name)
        if value is None:
            raise InvalidRequest(f"{name} is missing.")
        return value

    def scopes(self) -> frozenset[str] | None:
        """Return the scopes that are asked for; None when none are named."""
        value = self.values.get("scope")
        return None if value is None else frozenset(value.split())

    def audience(self) -> str:
        """Return the one audience, named by `audience` (RFC 8693) or `resource` (RFC 8707)."""
        named = {value for value in (self.get("audience"), self.get("resource")) if value is not None}
        if len(named) != 1:
            raise InvalidTarget("Name exactly one audience.")
        return named.pop()


async def read_form(request: Request) -> Form:
    """Read the body; raises InvalidRequest."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise InvalidRequest(f"The body is {FORM_TYPE}.")
    try:
        pairs = parse_qsl(
            (await request.body()).decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"
        )
    except ValueError:
        raise InvalidRequest("The form cannot be read.") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise InvalidRequest("A parameter stands more than once.")
    if any("\0" in value for _, value in pairs):
        raise InvalidRequest("A parameter holds a NUL.")
    return Form({name: value for name, value in pairs if value})


async def authenticate(work: Work, desk: TokenDesk, request: Request, form: Form) -> Client:
    """Return the client that sent the form; raises InvalidClient or InvalidRequest."""
    header = request.headers.get("authorization")
    if header is None:
        client_id, secret = form.get("client_id"), form.get("client_secret")
    elif form.get("client_secret") is not None:
        raise InvalidRequest("The client proves itself by the Authorization header or by the form, not by both.")
    else:
        client_id, secret = _basic(header)
        if form.get("client_id") not in (None, client_id):
            raise InvalidRequest("The header and the form name different clients.")
    if client_id is None or secret is None:
        # Every client has a secret: none is registered that could come with PKCE alone.
        raise InvalidClient("The client does not prove who it is.")
    client = await authenticate_client(work.session, desk.client_secrets, client_id, secret, sandbox=desk.sandbox)
    if client is None:
        raise InvalidClient("There is no such client with this secret.")
    return client


def _basic(header: str) -> tuple[str, str]:
    """Read HTTP Basic, whose two halves are form-encoded (RFC 6749 section 2.3.1)."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("The Authorization header is not of the scheme Basic.")
    try:
        client_id, colon, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidClient("The Authorization header cannot be read.") from None
    client_id, secret = unquote_plus(client_id), unquote_plus(secret)
    if not colon or "\0" in client_id + secret:
        raise InvalidClient("The Authorization header cannot be read.")
    return client_id, secret
