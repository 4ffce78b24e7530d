"""One database and two roles per service, so that the separation of services is real on one machine too.

Invariant: a role reaches its own database only; passwords stand in one file of the data folder (0600) and, as
scram verifiers, in PostgreSQL.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from onecard_local.cells import Cell
from onecard_local.keys import new_password, write_once
from onecard_local.ports import SERVICES
from onecard_local.postgres import SUPERUSER, PostgresServer
from onecard_local.refusals import CannotStart


@dataclass(frozen=True)
class Passwords:
    """Role -> password."""

    by_role: dict[str, str]

    @property
    def superuser(self) -> str:
        return self.by_role[SUPERUSER]


def owner_of(service: str) -> str:
    """The role that owns a service's tables; only the migration command is it."""
    return f"{service}_owner"


def app_of(service: str) -> str:
    """The role of the running service."""
    return f"{service}_app"


def keep_passwords(cell: Cell) -> Passwords:
    """Make the passwords on the first run, read them afterwards."""
    file = cell.folder / "passwords.json"
    if not file.exists() and (cell.folder / "postgres" / "pg").exists():
        raise CannotStart(
            f"The data folder {cell.folder} is half-written (passwords.json is missing); `make clean` wipes it."
        )
    roles = [SUPERUSER, *(role for service in SERVICES for role in (owner_of(service), app_of(service)))]
    write_once(file, lambda: json.dumps({role: new_password() for role in roles}, indent=1).encode())
    return Passwords(read_passwords(file))


def read_passwords(file: Path) -> dict[str, str]:
    try:
        passwords = json.loads(file.read_bytes())
    except ValueError:
        raise CannotStart(f"The data folder is half-written ({file} is not whole); `make clean` wipes it.") from None
    return {str(role): str(password) for role, password in passwords.items()}


def postgres_of(cell: Cell, passwords: Passwords, give_up: Callable[[], bool]) -> PostgresServer:
    """Return the cell's server, not started; `give_up` is asked while it starts."""
    return PostgresServer(cell.folder / "postgres", cell.ports.postgres, passwords.superuser, give_up=give_up)


def url_of(cell: Cell, passwords: Passwords, service: str, role: str) -> str:
    """The address of a service's database for one of its roles; passwords are base64url and need no quoting."""
    return f"postgresql://{role}:{passwords.by_role[role]}@127.0.0.1:{cell.ports.postgres}/{service}"


def create_databases(server: PostgresServer, passwords: Passwords) -> None:
    """Create what is missing; repeating it changes nothing."""
    asyncio.run(prepare_databases(server.dsn, passwords))


async def prepare_databases(dsn: str, passwords: Passwords) -> None:
    """Do the same inside a running loop."""
    connection = await asyncpg.connect(dsn)
    try:
        roles = {row[0] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
        databases = {row[0] for row in await connection.fetch("SELECT datname FROM pg_database WHERE datallowconn")}
        for service in SERVICES:
            for role in (owner_of(service), app_of(service)):
                if role not in roles:
                    await _create_role(connection, role, passwords.by_role[role])
            if service not in databases:
                await _create_database(connection, service)
    finally:
        await connection.close()


async def _create_role(connection: Any, role: str, password: str) -> None:
    # Sent as a literal: DDL takes no parameters. Names and passwords are our own, without quotes in them.
    await connection.execute(f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{password}'")


async def _create_database(connection: Any, service: str) -> None:
    # Under another name first: a runner killed between these statements must not leave a database open to everyone.
    await connection.execute(f"DROP DATABASE IF EXISTS {service}_new")
    await connection.execute(f"CREATE DATABASE {service}_new OWNER {owner_of(service)}")
    await connection.execute(f"REVOKE ALL ON DATABASE {service}_new FROM PUBLIC")
    await connection.execute(f"GRANT CONNECT ON DATABASE {service}_new TO {app_of(service)}")
    await connection.execute(f"ALTER DATABASE {service}_new RENAME TO {service}")
