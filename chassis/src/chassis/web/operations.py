"""What every service answers to its operators: how the journal is, what is set aside, the journal itself.

The same routes in every service, so that one command line serves them all.
"""

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from chassis.errors import NotFound
from chassis.journal.export import export_journal
from chassis.journal.operations import list_set_aside, retry_set_aside
from chassis.web.guard import Keyed, TheCaller, TheWorkshop, runtime_of
from chassis.web.models import ListModel, RequestModel, ResponseModel
from chassis.web.work import TheWork
from chassis.work import Fact

EXPORT_MAX_BLOCKS = 500
BLOCKS_MAX = 2**62  # of a journal: more than a bigint column holds is no block


class NothingSetAside(NotFound):
    """Nothing of this key is set aside."""

    code = "nothing-set-aside"


class StatusModel(ResponseModel):
    """How the journal of the process that answered is doing."""

    service: str
    cell: str
    time: datetime
    ready: bool
    problem: str | None = Field(description="One sentence when the service is not ready.")
    journal: dict[str, Any]


class SetAsideModel(ResponseModel):
    """An event that could not be applied; its body may tell about a person and is not shown."""

    source: str
    position: int
    topic: str
    key: str
    error: str
    tries: int
    due: datetime | None = Field(description="When it is tried next; null when it waits for another one or for you.")


class Retry(RequestModel):
    """Which key to try again: all its events, in order."""

    source: str = Field(min_length=1, max_length=40)
    key: str = Field(min_length=1, max_length=200)


def operator_router(service: str) -> APIRouter:
    """Return the operators' routes of `service`."""
    router = APIRouter(prefix=f"/v1/services/{service}", tags=["operations"])

    @router.get("/status", operation_id=f"{service}.status")
    async def status(request: Request) -> StatusModel:
        """Say how the service and its journal are doing."""
        runtime = runtime_of(request)
        problem = await runtime.database_answers()
        return StatusModel(
            service=service,
            cell=runtime.settings.cell,
            time=runtime.clock(),
            ready=problem is None,
            problem=problem,
            journal=asdict(request.app.state.journal.status()),
        )

    @router.get("/set-aside", operation_id=f"{service}.list_set_aside")
    async def set_aside(work: TheWork, limit: Annotated[int, Query(ge=1, le=200)] = 100) -> ListModel[SetAsideModel]:
        """List the events that could not be applied, oldest first."""
        rows = await list_set_aside(await work.asyncpg(), limit=limit)
        return ListModel[SetAsideModel](items=[SetAsideModel(**asdict(row)) for row in rows])

    @router.post("/set-aside/retry", operation_id=f"{service}.retry_set_aside", status_code=202)
    async def retry(body: Retry, work: TheWork, _caller: TheCaller, _request: Keyed) -> Retry:
        """Have a key's events tried again now; asking twice asks once."""
        if not await retry_set_aside(await work.asyncpg(), body.source, body.key):
            raise NothingSetAside
        work.record(Fact(topic=f"{service}.set_aside.retried.v1", key=body.key, details={"source": body.source}))
        return body

    @router.get(
        "/journal",
        operation_id=f"{service}.export_journal",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/x-ndjson": {}}}},
    )
    async def journal(
        request: Request,
        workshop: TheWorkshop,
        caller: TheCaller,
        after: Annotated[int, Query(ge=0, le=BLOCKS_MAX, description="Give the blocks after this one.")] = 0,
        limit: Annotated[int, Query(ge=1, le=EXPORT_MAX_BLOCKS)] = 100,
    ) -> StreamingResponse:
        """Export blocks with their rows as JSON lines; pages put together are one export to verify."""
        source = f"{runtime_of(request).settings.cell}/{service}"

        async def lines() -> AsyncIterator[bytes]:
            async with workshop.begin(caller) as work:
                async for line in export_journal(await work.asyncpg(), source, after=after, upto=after + limit):
                    yield line

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    return router
