"""The processes of the benchmark `events`: leader, follower and load of the journal; publisher and consumer beside it.

Invariant: a process says "ready" before anything is measured, so that no start of an interpreter is.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import asyncpg
import nats
import uvloop
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

from chassis.bus import Bus
from chassis.crypto.signing import PrivateKey
from chassis.database import create_engine
from chassis.journal.follower import Received
from chassis.journal.journal import Journal
from chassis.journal.keys import JournalKeys
from chassis.journal.writing import Row, insert_rows
from chassis.time import system_clock
from chassis.work import Work, Workshop

OUTSTANDING_MAX = 1_000
FETCHED_AT_ONCE = 500
WRITERS = 16
SUBJECT = "bench.events"

UPSERT = """
INSERT INTO projection (card, state, version) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
ON CONFLICT (card) DO UPDATE SET state = excluded.state, version = excluded.version
"""
UPSERT_ONE = """
INSERT INTO projection (card, state, version) VALUES ($1, $2, $3)
ON CONFLICT (card) DO UPDATE SET state = excluded.state, version = excluded.version
"""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What one service's process signs in with."""

    service: str
    database_url: str
    nats_url: str
    seed: str
    key_pem: bytes


@dataclass
class Span:
    """When the follower committed which event."""

    last_at: float = 0.0
    at: dict[int, float] = field(default_factory=dict)


class TimedWorkshop(Workshop):
    """Notes the moment at which the commit of a batch was confirmed."""

    @asynccontextmanager
    async def begin(self, caller: Any = None) -> AsyncIterator[Work]:
        async with super().begin(caller) as work:
            yield work
        if BATCH:
            SPAN.last_at = time.time()
            SPAN.at.update(dict.fromkeys(BATCH, SPAN.last_at))
            BATCH.clear()


SPAN, BATCH = Span(), list[int]()


async def project(work: Work, events: Sequence[Received]) -> None:
    """Keep the newest state of each card with one statement for the batch."""
    newest: dict[str, tuple[str, str, int]] = {}
    for event in events:
        said = json.loads(event.body)["data"]
        newest[said["card"]] = (said["card"], said["state"], said["version"])
        BATCH.append(said["version"])
    connection = await work.asyncpg()
    await connection.execute(UPSERT, *(list(column) for column in zip(*newest.values(), strict=True)))


async def project_one_by_one(work: Work, events: Sequence[Received]) -> None:
    """Keep the newest state of each card with one statement for each event."""
    connection = await work.asyncpg()
    for event in events:
        said = json.loads(event.body)["data"]
        await connection.execute(UPSERT_ONE, said["card"], said["state"], said["version"])
        BATCH.append(said["version"])


def lead(told: Connection, account: Account) -> None:
    """Be card-svc: number and tell from "go" on."""
    run(_journal(told, account, {}, None))


def follow(told: Connection, account: Account, goal: int, one_by_one: bool) -> None:
    """Be payment-svc: follow card, and tell the times once `goal` events are committed."""
    run(_journal(told, account, {"card": project_one_by_one if one_by_one else project}, goal))


async def _journal(told: Connection, account: Account, follows: Any, goal: int | None) -> None:
    key = PrivateKey.from_pem("bench-1", account.key_pem)
    bus = Bus(account.nats_url, name=account.service, seed=account.seed)
    workshop = TimedWorkshop(
        engine=create_engine(account.database_url), clock=system_clock(), cell="330000", service=account.service
    )
    journal = Journal(
        service=account.service,
        cell="330000",
        direct_url=account.database_url,
        workshop=workshop,
        bus=bus,
        keys=JournalKeys(own={key.kid: key}, publics={source: {key.kid: key.public} for source in follows}),
        follows=follows,
    )
    await bus.start()
    await _until(lambda: bus.is_connected)
    await _ready(told)
    await journal.start()
    if goal is not None:
        await _until(lambda: len(SPAN.at) >= goal)
        told.send(SPAN)
    await asyncio.Event().wait()


def offer(told: Connection, account: Account, rows: list[Row], rate: int) -> None:
    """Be card-svc's use cases: one event a transaction, `rate` a second; tell when each commit was confirmed."""
    run(_offer(told, account, rows, rate))


async def _offer(told: Connection, account: Account, rows: list[Row], rate: int) -> None:
    pool = await asyncpg.create_pool(account.database_url, min_size=WRITERS, max_size=WRITERS)
    committed: dict[int, float] = {}

    async def commit(number: int) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await insert_rows(connection, [rows[number]])
        committed[number] = time.time()

    await _ready(told)
    begun = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(len(rows)):
            ahead_s = begun + number / rate - time.monotonic()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            tasks.create_task(commit(number))
    told.send(committed)
    await pool.close()


def publish(told: Connection, url: str, bodies: list[bytes]) -> None:
    """The reference's publisher: pipelined into a new stream, every message acknowledged by the server."""
    run(_publish(told, url, bodies))


async def _publish(told: Connection, url: str, bodies: list[bytes]) -> None:
    client = await nats.connect(url)
    stream = client.jetstream(publish_async_max_pending=OUTSTANDING_MAX)
    with suppress(nats.js.errors.NotFoundError):
        await stream.delete_stream("bench")
    await stream.add_stream(StreamConfig(name="bench", subjects=[SUBJECT]))
    await _ready(told)
    for body in bodies:
        await stream.publish_async(SUBJECT, body, wait_stall=30)
    await stream.publish_async_completed()
    await asyncio.Event().wait()


def consume(told: Connection, url: str, goal: int) -> None:
    """The reference's consumer: pulls and acknowledges each message; tells when the last one was."""
    run(_consume(told, url, goal))


async def _consume(told: Connection, url: str, goal: int) -> None:
    client = await nats.connect(url)
    stream = client.jetstream()
    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=4 * FETCHED_AT_ONCE)
    pull = await stream.pull_subscribe(SUBJECT, durable="bench", stream="bench", config=config)
    await _ready(told)
    seen = 0
    while seen < goal:
        for message in await pull.fetch(min(FETCHED_AT_ONCE, goal - seen), timeout=30):
            seen += 1
            await (message.ack() if seen < goal else message.ack_sync())
    told.send(time.time())
    await asyncio.Event().wait()


async def _ready(told: Connection) -> None:
    told.send("ready")
    await asyncio.to_thread(told.recv)


async def _until(condition: Any) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0.005)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a process's work on the loop that services run on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
