"""What a terminal needs to verify card codes without asking anyone."""

from pathlib import Path
from uuid import uuid4

import pytest

from chassis.testing.clock import FixedClock
from chassis.testing.databases import Databases
from chassis.testing.keys import write_private, write_service_keys
from chassis.testing.service import CELL, PUBLIC_URL, caller, running
from contracts.card_code import CodeMaker, Verifier, keys_from_trust_list
from interop_svc.app import create_app
from interop_svc.domain import ForeignKey, TrustedKey, trust_list
from interop_svc.settings import Settings


def settings_of(keys: Path, database_url: str) -> Settings:
    return Settings(
        cell=CELL,
        public_url=PUBLIC_URL,
        port=1,
        health_port=1,
        keys=keys,
        database_url=database_url,
        nats_url="nats://127.0.0.1:9",
    )


async def test_a_code_of_this_cell_verifies_with_nothing_but_its_trust_list(
    databases: Databases, tmp_path: Path
) -> None:
    keys = write_service_keys(tmp_path / "keys", "interop")
    signing = write_private(keys, "card-code/unused", "card-code/public", kid="330000-test")
    clock = FixedClock()
    maker = CodeMaker(kid=signing.kid, signing_key=signing.native, handle_kid="330000-h", handle_key=bytes(32))
    async with (
        databases.fresh("interop") as database,
        running(create_app(settings_of(keys, database.app_url), clock=clock)) as api,
    ):
        answer = await api.call("GET", "/v1/trust-list")
        assert answer.status_code == 200
        verifier = Verifier(keys_from_trust_list(answer.json()))
        assert verifier.verify(maker.make(uuid4(), clock()).text, clock()).cell == CELL
        cells = await api.call("GET", "/v1/cells")
        assert [cell["cell"] for cell in cells.json()["items"]] == [CELL]


async def test_an_operator_sees_how_the_journal_is_and_exports_it(databases: Databases, tmp_path: Path) -> None:
    keys = write_service_keys(tmp_path / "keys", "interop")
    write_private(keys, "card-code/unused", "card-code/public", kid="330000-test")
    operator = caller(client="op", kind="operator", scopes="journal.read")
    async with databases.fresh("interop") as database, running(create_app(settings_of(keys, database.app_url))) as api:
        status = await api.call("GET", "/v1/services/interop/status", by=operator)
        assert status.json()["ready"] is True
        exported = await api.call("GET", "/v1/services/interop/journal", by=operator)
        assert exported.text.startswith('{"onecard_journal_export"')
        retry = await api.call(
            "POST", "/v1/services/interop/set-aside/retry", {"source": "card", "key": "x"}, by=operator, key="k"
        )
        assert (retry.status_code, retry.json()["code"]) == (404, "nothing-set-aside")


def test_a_key_of_another_cell_is_not_vouched_for() -> None:
    with pytest.raises(ForeignKey, match="320000-k"):
        trust_list("330000", (TrustedKey("320000-k", "ES256", {}),), FixedClock()())
