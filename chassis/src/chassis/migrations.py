"""Migrations are a command of each service, run before it starts and never by it.

Safe to run twice and by two processes at once: an advisory lock lets one work and the other find it done.
"""

import asyncio
import os
from importlib.resources import as_file, files

from alembic import context
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

_LOCK = 0x6F6E6563  # "onec": one migration of a database at a time


def migrate(package: str, owner_url: str, *, app_role: str) -> None:
    """Bring the database of `package` to its newest revision, as the owner of its tables.

    `app_role` is the role of the running service, which the migrations grant its rights.
    """
    asyncio.run(migrate_database(package, owner_url, app_role=app_role))


async def migrate_database(package: str, owner_url: str, *, app_role: str) -> None:
    """Do the same inside a running loop."""
    engine = create_async_engine(make_url(owner_url).set(drivername="postgresql+asyncpg"), pool_size=1)
    try:
        with as_file(files(package) / "migrations") as folder:
            config = Config()
            config.set_main_option("script_location", str(folder))
            config.set_main_option("path_separator", "os")
            config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
            async with engine.begin() as connection:
                await connection.execute(text("SET LOCAL lock_timeout = '10s'"))
                await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                await connection.run_sync(_upgrade, config, app_role)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, config: Config, app_role: str) -> None:
    script = ScriptDirectory.from_config(config)
    with EnvironmentContext(
        config, script, fn=lambda revision, _: script._upgrade_revs("head", revision)
    ) as environment:
        environment.configure(connection=connection, app_role=app_role)
        environment.run_migrations()


def app_role() -> str:
    """Inside a migration: the role that the running service signs in as."""
    role: str = context.get_context().opts["app_role"]
    return role


def migrate_from_environment(service: str) -> None:
    """The command `python -m <service>_svc.migrate`: ONECARD_DATABASE_OWNER_URL says which database, as whom."""
    url = os.environ.get("ONECARD_DATABASE_OWNER_URL")
    if not url:
        raise SystemExit("ONECARD_DATABASE_OWNER_URL is missing: the database's address with its owner's role.")
    migrate(f"{service}_svc", url, app_role=f"{service}_app")
