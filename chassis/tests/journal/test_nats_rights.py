"""The rights of every NATS user as a matrix: each "no" stands beside a "yes", on exact subjects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest

from chassis.bus import Bus
from chassis.nats_rights import rights_of, server_config
from chassis.testing.nats_users import new_user
from contracts.edges import FOLLOWS

SERVICES = list(FOLLOWS)
SUBJECTS = [f"journal.{service}.{what}" for service in SERVICES for what in ("block", "head", "read")]


@asynccontextmanager
async def signed_in(nats_cell: Any, service: str) -> AsyncIterator[tuple[Any, list[str]]]:
    """A bare client of one service, and what NATS refuses it."""
    server, users = nats_cell
    refused: list[str] = []

    async def loud(error: Exception) -> None:
        refused.append(str(error).lower())

    client = await nats.connect(
        server.url, nkeys_seed_str=users.seeds[service], inbox_prefix=f"_INBOX.{service}-svc", error_cb=loud
    )
    try:
        yield client, refused
    finally:
        await client.close()


async def ignore(_: Any) -> None:
    """Take a message and do nothing with it."""


async def everything_said(client: Any, refused: list[str]) -> None:
    """Wait for the refusal of something asked last, behind which every other one has come."""
    await client.subscribe("the.last.one", cb=ignore)
    async with asyncio.timeout(5):
        while not any("the.last.one" in said for said in refused):
            await client.flush()


def denied(refused: list[str], what: str, subjects: list[str]) -> set[str]:
    return {s for s in subjects if any(f'permissions violation for {what} to "{s}"' in said for said in refused)}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_publishes_its_own_journal_and_asks_its_sources_and_nothing_else(
    nats_cell: Any, service: str
) -> None:
    foreign = ["journal.card", "journal.other.block", "$SYS.REQ.SERVER.PING", "_INBOX.other-svc.x"]
    subjects = [*SUBJECTS, *foreign]
    async with signed_in(nats_cell, service) as (client, refused):
        for subject in subjects:
            await client.publish(subject, b"x")
        await everything_said(client, refused)
        allowed = {s for s in SUBJECTS if s in rights_of(service, FOLLOWS).publish}
        folded = {s.lower(): s for s in subjects}
        assert {folded[s] for s in denied(refused, "publish", list(folded))} == set(subjects) - allowed
        assert allowed >= {f"journal.{service}.block", f"journal.{service}.head"}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_hears_its_sources_and_its_own_questions_and_nothing_else(nats_cell: Any, service: str) -> None:
    others = [f"_INBOX.{other}-svc.>" for other in SERVICES if other != service]
    subjects = [*SUBJECTS, *others, ">", "journal.>", "journal.*.block", "$SYS.>", "_INBOX.>"]
    async with signed_in(nats_cell, service) as (client, refused):
        for subject in [*subjects, f"_INBOX.{service}-svc.x"]:
            await client.subscribe(subject, cb=ignore)
        await everything_said(client, refused)
        allowed = {s for s in SUBJECTS if s in rights_of(service, FOLLOWS).subscribe}
        folded = {s.lower(): s for s in subjects}
        said = {folded[s] for s in denied(refused, "subscription", list(folded))}
        assert said == set(subjects) - allowed
        assert f"journal.{service}.read" in allowed


async def test_the_follower_gets_what_its_source_publishes_and_an_answer_to_its_question(nats_cell: Any) -> None:
    async with signed_in(nats_cell, "card") as (card, _), signed_in(nats_cell, "payment") as (payment, _):
        heard = await payment.subscribe("journal.card.block")
        await payment.flush()

        async def answer(message: Any) -> None:
            await message.respond(b"answer to " + message.data)

        await card.subscribe("journal.card.read", cb=answer)
        await card.flush()
        await card.publish("journal.card.block", b"a block")
        assert (await heard.next_msg(timeout=2)).data == b"a block"
        assert (await payment.request("journal.card.read", b"7", timeout=2)).data == b"answer to 7"


async def test_a_service_may_answer_each_question_once_only(nats_cell: Any) -> None:
    async with signed_in(nats_cell, "card") as (card, refused), signed_in(nats_cell, "payment") as (payment, _):

        async def answer_twice(message: Any) -> None:
            await message.respond(b"one")
            await message.respond(b"two")

        await card.subscribe("journal.card.read", cb=answer_twice)
        await card.flush()
        assert (await payment.request("journal.card.read", b"7", timeout=2)).data == b"one"
        await card.flush()
        assert any("permissions violation for publish" in said for said in refused)


@pytest.mark.parametrize("seed", [None, new_user()[0]], ids=["no seed", "another's seed"])
async def test_nobody_gets_in_without_a_seed_of_the_cell(nats_cell: Any, rig: Any, seed: str | None) -> None:
    bus = Bus(nats_cell[0].url, name="payment", seed=seed)
    await bus.start()
    await rig.until(lambda: bus.refusals > 1, "the refusal")
    assert not bus.is_connected
    await bus.stop()


async def test_the_bus_shouts_what_nats_refuses(nats_cell: Any, rig: Any, caplog: pytest.LogCaptureFixture) -> None:
    server, users = nats_cell
    bus = Bus(server.url, name="payment", seed=users.seeds["payment"])
    await bus.start()
    await rig.until(lambda: bus.is_connected, "a connection")
    assert await bus.publish("journal.payment.block", b"allowed")
    assert await bus.publish("journal.card.block", b"not allowed")
    await rig.until(lambda: bus.refusals == 1, "the refusal")
    assert "journal.card.block" in caplog.text
    await bus.stop()


async def test_the_bus_comes_back_with_its_subscriptions_after_the_server_was_away(
    nats_server: Any, nats_cell: Any, rig: Any
) -> None:
    server = nats_server(rig.users.config)
    heard = asyncio.Event()

    async def hear(_: Any) -> None:
        heard.set()

    card, payment = (Bus(server.url, name=name, seed=rig.users.seeds[name]) for name in ("card", "payment"))
    await payment.subscribe("journal.card.block", hear)  # before there is a connection
    for bus in (card, payment):
        await bus.start()
        await rig.until(lambda bus=bus: bus.is_connected, "a connection")
    server.stop()
    await rig.until(lambda: not card.is_connected and not payment.is_connected, "the loss")
    assert not await card.publish("journal.card.block", b"dropped")
    server.start()
    await rig.until(lambda: card.is_connected and payment.is_connected, "the way back")

    async def got() -> bool:
        await card.publish("journal.card.block", b"after")
        return heard.is_set()

    await rig.until(got, "a message after the way back")
    for bus in (card, payment):
        await bus.stop()


def test_a_configuration_without_a_users_key_is_not_written() -> None:
    with pytest.raises(ValueError, match="no public nkey of a user for"):
        server_config(FOLLOWS, {}, cell="330000")
