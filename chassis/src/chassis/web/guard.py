"""The guard in front of every route of a service: an internal token for exactly this operation, or 401.

Invariant: a route without a guard cannot exist, because the app itself carries the guard.
"""

from typing import Annotated, Any

from fastapi import Depends, Header, Request

from chassis.errors import BadRequest
from chassis.idempotency import KEY_PATTERN, KeyedRequest, keyed_request
from chassis.internal_tokens import HEADER, Caller, InternalTokenRefused, decode
from chassis.runtime import Runtime
from chassis.work import Workshop


def runtime_of(request: Request) -> Runtime[Any]:
    """Return the running gear of the app that answers this request."""
    runtime: Runtime[Any] = request.app.state.runtime
    return runtime


def operation_of(request: Request) -> str:
    """Return the operation id of the route that answers this request, e.g. `card.apply`."""
    return str(request.scope["route"].operation_id)


async def caller_of(request: Request) -> Caller:
    """Open the internal token; raises InternalTokenRefused."""
    runtime = runtime_of(request)
    tokens = request.headers.getlist(HEADER)
    if len(tokens) != 1:
        raise InternalTokenRefused
    caller = decode(
        tokens[0],
        callee=runtime.service,
        operation=operation_of(request),
        cell=runtime.settings.cell,
        secrets=runtime.edge_secrets,
        now=runtime.clock(),
    )
    request.state.caller = caller
    return caller


TheCaller = Annotated[Caller, Depends(caller_of)]


async def keyed(
    request: Request,
    caller: TheCaller,
    idempotency_key: Annotated[
        str,
        Header(
            alias="Idempotency-Key",
            pattern=KEY_PATTERN,
            description="Makes this request safe to repeat: the same key and body have one effect.",
        ),
    ],
) -> KeyedRequest:
    """Read the Idempotency-Key."""
    if len(request.headers.getlist("Idempotency-Key")) > 1:
        raise BadRequest("There is more than one Idempotency-Key.", field="Idempotency-Key")
    return keyed_request(
        client=caller.client,
        person=caller.citizen,
        operation=operation_of(request),
        key=idempotency_key,
        # The path too: the same key and an empty body for another resource is another request.
        body=request.url.path.encode() + b"\0" + await request.body(),
    )


Keyed = Annotated[KeyedRequest, Depends(keyed)]


def workshop_of(request: Request) -> Workshop:
    """Return where this request opens its Work."""
    return runtime_of(request).workshop


TheWorkshop = Annotated[Workshop, Depends(workshop_of)]
