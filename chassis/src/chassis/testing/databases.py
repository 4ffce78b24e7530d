"""A real database for each test, cloned from a template that was migrated once.

Cloning takes some tens of milliseconds, so no test shares state with another.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from sqlalchemy.engine import make_url

from chassis.migrations import migrate_database


@dataclass(frozen=True, kw_only=True)
class TestDatabase:
    """One service's database, as its owner and as the running service sign in to it."""

    __test__ = False  # a class of ours, not a test of pytest's

    owner_url: str
    app_url: str


class Databases:
    """Makes databases on one server, whose superuser's address it was given."""

    def __init__(self, admin_dsn: str) -> None:
        self._admin = make_url(admin_dsn)
        self._run = secrets.token_hex(4)
        self._templates: dict[str, str] = {}
        self._password = secrets.token_urlsafe(12)
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def fresh(self, service: str) -> AsyncIterator[TestDatabase]:
        """Give a migrated, empty database of `service`, and drop it afterwards."""
        template = await self._template(service)
        name = f"t_{service}_{secrets.token_hex(6)}"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" OWNER "{service}_owner"')
        try:
            yield self._addresses(service, name)
        finally:
            await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _template(self, service: str) -> str:
        async with self._lock:
            if service not in self._templates:
                name = f"tpl_{service}_{self._run}"
                for role in (f"{service}_owner", f"{service}_app"):
                    await self._ensure_role(role)
                await self._execute(f'CREATE DATABASE "{name}" OWNER "{service}_owner"')
                await migrate_database(
                    f"{service}_svc", self._addresses(service, name).owner_url, app_role=f"{service}_app"
                )
                self._templates[service] = name
            return self._templates[service]

    async def _ensure_role(self, role: str) -> None:
        await self._execute(
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')"
            f" THEN CREATE ROLE {role}; END IF; END $$; ALTER ROLE {role} LOGIN PASSWORD '{self._password}'"
        )

    def _addresses(self, service: str, database: str) -> TestDatabase:
        def url(role: str) -> str:
            address = self._admin.set(username=role, password=self._password, database=database)
            return address.set(drivername="postgresql").render_as_string(hide_password=False)

        return TestDatabase(owner_url=url(f"{service}_owner"), app_url=url(f"{service}_app"))

    async def _execute(self, statement: str) -> None:
        address = self._admin.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = await asyncpg.connect(address, timeout=10)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
