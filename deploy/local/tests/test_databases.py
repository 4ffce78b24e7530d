"""A database and two roles per service: nobody reads another's tables, also not on one machine."""

from pathlib import Path

import asyncpg
import pytest

from onecard_local.cells import declare_cell
from onecard_local.databases import SUPERUSER, Passwords, app_of, keep_passwords, owner_of, prepare_databases
from onecard_local.keys import new_password
from onecard_local.ports import SERVICES
from onecard_local.postgres import PostgresServer


@pytest.fixture
async def passwords(open_folder, free_port):
    roles = [SUPERUSER, *(role for service in SERVICES for role in (owner_of(service), app_of(service)))]
    known = Passwords({role: new_password() for role in roles})
    with PostgresServer(open_folder("databases"), free_port(), known.superuser, {"fsync": "off"}) as server:
        await prepare_databases(server.dsn, known)
        await prepare_databases(server.dsn, known)  # a second run finds all of it there
        yield known, server


async def test_a_role_reaches_its_own_database_only(passwords) -> None:
    known, server = passwords
    for service in SERVICES:
        for role in (owner_of(service), app_of(service)):
            connection = await asyncpg.connect(server.dsn_of(service, role, known.by_role[role]))
            await connection.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(server.dsn_of("identity", app_of("card"), known.by_role[app_of("card")]))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(server.dsn_of("card", owner_of("payment"), known.by_role[owner_of("payment")]))


async def test_the_running_service_cannot_make_tables_and_its_owner_can(passwords) -> None:
    known, server = passwords
    app = await asyncpg.connect(server.dsn_of("card", app_of("card"), known.by_role[app_of("card")]))
    owner = await asyncpg.connect(server.dsn_of("card", owner_of("card"), known.by_role[owner_of("card")]))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute("CREATE TABLE mine (x int)")
        await owner.execute("CREATE TABLE ours (x int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.fetch("SELECT * FROM ours")
    finally:
        await app.close()
        await owner.close()


def test_passwords_are_made_once_and_are_for_their_owner_only(tmp_path: Path) -> None:
    cell = declare_cell(tmp_path)
    first = keep_passwords(cell)
    assert keep_passwords(cell) == first
    assert (cell.folder / "passwords.json").stat().st_mode & 0o777 == 0o600
    assert len(set(first.by_role.values())) == 1 + 2 * len(SERVICES)
