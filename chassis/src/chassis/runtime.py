"""What one running service is made of: settings, keys, database, journal wake-up, clock.

The one object that a composition root builds first and that closes last.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis.database import create_engine
from chassis.ids import NewId, uuid7
from chassis.keys import KeyFolder
from chassis.settings import ServiceSettings
from chassis.time import Clock, system_clock
from chassis.work import Workshop
from contracts.edges import callers_of

S = TypeVar("S", bound=ServiceSettings)

EdgeSecrets = Mapping[str, Mapping[str, bytes]]


@dataclass(frozen=True, kw_only=True)
class Runtime(Generic[S]):
    """The running gear of one service."""

    service: str
    settings: S
    keys: KeyFolder
    engine: AsyncEngine
    clock: Clock
    workshop: Workshop
    edge_secrets: EdgeSecrets = field(repr=False)  # caller -> kid -> secret, for tokens that arrive

    def waking(self, wake: Callable[[], None]) -> "Runtime[S]":
        """Return the same runtime whose commits wake the journal's leader in this process."""
        return replace(self, workshop=replace(self.workshop, wake=wake))

    async def database_answers(self) -> str | None:
        """Readiness: None, or one sentence when the database does not answer."""
        try:
            async with self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception as wrong:
            return f"the database does not answer ({type(wrong).__name__})"
        return None

    async def close(self) -> None:
        """Give the database connections back."""
        await self.engine.dispose()


def open_runtime(service: str, settings: S, *, clock: Clock | None = None, new_id: NewId = uuid7) -> Runtime[S]:
    """Build the running gear; opens no connection yet."""
    keys = KeyFolder(settings.keys)
    engine = create_engine(settings.database_url)
    now = clock or system_clock(settings.clock_offset_s)
    return Runtime(
        service=service,
        settings=settings,
        keys=keys,
        engine=engine,
        clock=now,
        workshop=Workshop(engine=engine, clock=now, cell=settings.cell, service=service, new_id=new_id),
        edge_secrets={
            caller: {kid: key.value for kid, key in keys.secrets(f"edges/{caller}-{service}").items()}
            for caller in callers_of(service)
        },
    )
