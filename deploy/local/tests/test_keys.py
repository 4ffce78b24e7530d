"""The keys of a cell: made once, kept, for their owner only, and the same at both ends."""

import stat
from pathlib import Path

import pytest

from chassis.keys import KeyFolder
from contracts.edges import EDGES, FOLLOWS
from onecard_local.cells import Cell, declare_cell
from onecard_local.keys import make_keys, nats_user
from onecard_local.ports import SERVICES


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    return declare_cell(tmp_path / "home")


def test_folders_and_files_are_for_their_owner_only(cell: Cell) -> None:
    make_keys(cell)
    found = list((cell.folder / "keys").rglob("*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_file()} == {0o600}


def test_a_second_run_changes_no_key_and_adds_what_is_missing(cell: Cell) -> None:
    make_keys(cell)
    before = contents(cell)
    missing = next(path for path in before if "edges/gateway-card" in str(path) and "keys/card" in str(path))
    missing.unlink()
    make_keys(cell)
    assert contents(cell) == before


def test_both_ends_of_an_edge_hold_the_same_key_and_nobody_else_does(cell: Cell) -> None:
    make_keys(cell)
    for edge in EDGES:
        kind = f"edges/{edge.caller}-{edge.callee}"
        holders = {folder.name for folder in (cell.folder / "keys").iterdir() if (folder / kind).exists()}
        assert holders == {edge.caller, edge.callee}
        caller, callee = (KeyFolder(cell.keys_of(end)).secrets(kind) for end in (edge.caller, edge.callee))
        assert caller == callee
        assert len(caller) == 1


def test_a_follower_holds_the_public_key_of_its_source_and_never_the_private_one(cell: Cell) -> None:
    make_keys(cell)
    for follower, sources in FOLLOWS.items():
        folder = KeyFolder(cell.keys_of(follower))
        own = folder.private("journal/own")
        assert folder.publics(f"journal/public/{follower}").keys() == own.keys()
        for source in sources:
            signer = KeyFolder(cell.keys_of(source)).private("journal/own")
            known = folder.publics(f"journal/public/{source}")
            assert {kid: key.to_pem() for kid, key in known.items()} == {
                kid: key.public.to_pem() for kid, key in signer.items()
            }
        followed = (folder.path / "journal/public").iterdir()
        assert sorted(entry.name for entry in followed) == sorted({follower, *sources})


def test_every_service_is_another_user_of_nats(cell: Cell) -> None:
    make_keys(cell)
    users = {nats_user(cell, service) for service in SERVICES}
    assert len(users) == len(SERVICES)
    assert all(user.startswith("U") for user in users)


def contents(cell: Cell) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (cell.folder / "keys").rglob("*") if path.is_file()}
