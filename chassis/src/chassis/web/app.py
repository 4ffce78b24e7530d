"""The FastAPI app of a service: its routers behind the guard, refusals as problem+json, a lifespan in order.

Invariant: every route has an operation id `<service>.<verb>` and is guarded; the app refuses to be built otherwise.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import iter_route_contexts
from prometheus_client import REGISTRY

from chassis.journal.measures import JournalCollector
from chassis.runtime import Runtime
from chassis.web import refusals
from chassis.web.bodies import BodyLimit, plain_json
from chassis.web.guard import caller_of
from chassis.web.measuring import Measuring
from chassis.web.models import ProblemModel


class Part(Protocol):
    """Something that runs beside the requests: the journal, a settling loop."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


PROBLEM_ANSWERS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "model": ProblemModel,
        "description": "Refused; `code` says why.",
        "content": {"application/problem+json": {}},
    },
    "5XX": {
        "model": ProblemModel,
        "description": "Not now; `Retry-After` says when.",
        "content": {"application/problem+json": {}},
    },
}


def describe_app(service: str, summary: str, routers: Sequence[APIRouter]) -> FastAPI:
    """Return the app without its running gear: enough to generate its OpenAPI from."""
    app = FastAPI(
        title=f"One Card {service}-svc",
        version="1",
        description=summary,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(caller_of), Depends(plain_json)],  # in this order: nobody learns anything without a token
        responses=PROBLEM_ANSWERS,
    )
    for router in routers:
        app.include_router(router)
    refusals.install(app)
    for operation in operations_of(app):
        if not operation.id.startswith(f"{service}."):
            raise ValueError(f"{service}-svc: {operation.path} has no operation id of its service: {operation.id!r}")
    return app


@dataclass(frozen=True)
class Operation:
    """One thing that a service can be asked for."""

    id: str  # "card.apply"
    methods: frozenset[str]
    path: str  # "/v1/cards/{card}"


def operations_of(app: FastAPI) -> list[Operation]:
    """List every operation of an app, those of its included routers too."""
    return [
        Operation(id=route.operation_id or "", methods=frozenset(route.methods or ()), path=route.path or "")
        for route in iter_route_contexts(app.routes)
    ]


def service_app(
    app: FastAPI, runtime: Runtime[Any], parts: Sequence[Part] = (), closing: Sequence[Any] = (), **state: Any
) -> FastAPI:
    """Put the running gear under a described app: state, lifespan, measuring.

    `parts` start in order and stop in reverse, before `closing` (things with an async `close`) and the database.
    `state` is what the routes find on `app.state`.
    """
    app.state.runtime = runtime
    for name, value in state.items():
        setattr(app.state, name, value)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(runtime.close)
            if "journal" in state:
                measures = JournalCollector(state["journal"])
                REGISTRY.register(measures)
                stack.callback(REGISTRY.unregister, measures)
            for thing in closing:
                stack.push_async_callback(thing.close)
            for part in parts:
                await part.start()
                stack.push_async_callback(part.stop)
            yield

    app.router.lifespan_context = lifespan
    app.add_middleware(BodyLimit, public_url=runtime.settings.public_url)
    app.add_middleware(Measuring, public_url=runtime.settings.public_url)
    return app
