"""The PostgreSQL of the runner: real, whole or not there, and gone when it should be."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from onecard_local.postgres import PostgresServer
from onecard_local.refusals import CannotStart


async def test_the_server_speaks_with_a_password_only_and_checks_its_pages(postgres) -> None:
    connection = await asyncpg.connect(postgres.admin_dsn)
    try:
        assert await connection.fetchval("SHOW data_checksums") == "on"
        assert (await connection.fetchval("SHOW server_version")).startswith("18")
        assert await connection.fetchval("SELECT datlocale FROM pg_database WHERE datname = 'postgres'") == "C.UTF-8"
        assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
        assert await connection.fetchval("SHOW unix_socket_directories") == ""
    finally:
        await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.server.dsn_of("postgres", password="wrong"))


def test_an_initdb_killed_half_way_is_done_again(
    open_folder: Callable[[str], Path], free_port: Callable[[], int]
) -> None:
    folder = open_folder("half")
    (folder / "pg.new").mkdir()
    (folder / "pg.new" / "PG_VERSION").write_text("18\n")
    with PostgresServer(folder, free_port(), "secret", {"fsync": "off"}) as server:
        assert asyncio.run(answer(server.dsn)) == 1
    assert not (folder / "pg.new").exists()


def test_a_half_written_data_folder_gets_one_clear_sentence(
    open_folder: Callable[[str], Path], free_port: Callable[[], int]
) -> None:
    folder = open_folder("torn")
    (folder / "pg").mkdir()
    (folder / "pg" / "PG_VERSION").write_text("18\n")
    with pytest.raises(CannotStart, match=r"half-written .*make clean"):
        PostgresServer(folder, free_port(), "secret").start()


def test_a_killed_server_starts_again_with_its_data(
    open_folder: Callable[[str], Path], free_port: Callable[[], int]
) -> None:
    server = PostgresServer(open_folder("killed"), free_port(), "secret")
    with server:
        asyncio.run(execute(server.dsn, "CREATE TABLE kept AS SELECT 1 AS one"))
        server.kill()
        server.start()
        assert asyncio.run(answer(server.dsn, "SELECT one FROM kept")) == 1


async def answer(dsn: str, question: str = "SELECT 1") -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
