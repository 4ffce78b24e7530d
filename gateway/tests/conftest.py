"""One gateway process for each test module, with a recording upstream behind it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.testing import Answer, Door


@pytest_asyncio.fixture(scope="module")
async def module_door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    async with Door(tmp_path_factory.mktemp("door")) as opened:
        yield opened


@pytest_asyncio.fixture
async def door(module_door: Door) -> Door:
    """The module's gateway, with nothing recorded yet and a service that answers plainly."""
    services = module_door.services
    services.seen.clear()
    services.broken.clear()
    services.script = lambda _seen: Answer()
    services.on_head = None
    services.silent = False
    return module_door
