"""One Work a request, for routes whose whole effect is one transaction.

Function scope: it commits before the answer goes out (FastAPI's default would commit after it).
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends

from chassis.web.guard import TheCaller, TheWorkshop
from chassis.work import Work


async def work_of(workshop: TheWorkshop, caller: TheCaller) -> AsyncIterator[Work]:
    """Open a Work that is committed when the route returns and rolled back when it raises."""
    async with workshop.begin(caller) as work:
        yield work


TheWork = Annotated[Work, Depends(work_of, scope="function")]
