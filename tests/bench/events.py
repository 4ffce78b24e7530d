"""Events from a committed row to another service's committed projection, against bare JetStream.

Invariant: both sides carry the same messages on the same machine, taken in turn; the journal's side includes two
databases with full sync, signatures and hashes, the reference has no database at all. Processes: card-svc's leader,
payment-svc's follower and the load are one each, as are the reference's publisher and consumer.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from harness import SAMPLES_MIN, report
from processes import Account, Span, consume, follow, lead, offer, publish

from chassis.crypto.signing import PrivateKey
from chassis.journal.tables import create_journal
from chassis.journal.writing import Row, insert_rows
from chassis.testing.nats_users import new_users
from contracts.edges import FOLLOWS
from onecard_local.nats import NatsServer
from onecard_local.ports import TestCell, claim_test_cell
from onecard_local.postgres import PostgresServer

EVENTS = 40_000
CARDS = 5_000
RATIO_MIN = 8.0
RATIO_ONE_BY_ONE_MIN = 1.5
P99_MAX_MS = 50.0
RATES = (2_000, 500)
OFFERED_FOR_S = 6.0
WARM_S = 1.0
COMMAND = "python tests/bench/events.py"
PROJECTION = """
CREATE TABLE projection (card text PRIMARY KEY, state text NOT NULL, version bigint NOT NULL);
GRANT SELECT, INSERT, UPDATE ON projection TO bench_app;
"""
JETSTREAM = 'jetstream {{ store_dir: "{folder}", sync_interval: always }}\nmax_payload: 1MB\n'

SPAWN = multiprocessing.get_context("spawn")


def message(number: int) -> Row:
    """An event of about 250 bytes, as a service would write it."""
    card = f"0190a5f0-0000-7000-8000-{number % CARDS:012d}"
    said: dict[str, Any] = {"specversion": "1.0", "id": f"0190a5f1-0000-7000-8000-{number:012d}"}
    said |= {"source": "/cells/330000/card-svc", "type": "card.card.enabled.v1", "subject": card}
    said |= {"time": "2026-03-02T01:30:00+00:00"}
    said |= {"data": {"card": card, "state": "active", "version": number}}
    return Row("e", "card.card.enabled.v1", card, json.dumps(said, separators=(",", ":")).encode())


@dataclass(kw_only=True)
class Machine:
    """The servers of this benchmark and nothing else on them."""

    postgres: PostgresServer
    nats: NatsServer
    jetstream: NatsServer
    seeds: dict[str, str]
    password: str
    key: PrivateKey

    def account(self, service: str, database: str) -> Account:
        return Account(
            service=service,
            database_url=self.postgres.dsn_of(database, "bench_app", self.password),
            nats_url=self.nats.url,
            seed=self.seeds[service],
            key_pem=self.key.to_pem(),
        )


@contextmanager
def machine(cell: TestCell) -> Iterator[Machine]:
    """Start PostgreSQL, the journal's NATS and the reference's NATS with JetStream in folders of their own."""
    folder = Path(tempfile.mkdtemp(prefix="onecard-bench-events-"))
    folder.chmod(0o711)
    users = new_users(FOLLOWS)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        stream = JETSTREAM.format(folder=folder / "stream")
        made = Machine(
            postgres=stack.enter_context(PostgresServer(folder / "postgres", cell.ports.postgres, secrets.token_hex())),
            nats=stack.enter_context(NatsServer(folder / "nats", cell.free_port(), cell.free_port(), users.config)),
            jetstream=stack.enter_context(NatsServer(folder / "js", cell.free_port(), cell.free_port(), stream)),
            seeds=users.seeds,
            password=secrets.token_hex(16),
            key=PrivateKey.generate("bench-1"),
        )
        asyncio.run(make_template(made))
        yield made


async def make_template(made: Machine) -> None:
    """Make the database that both services are cloned from."""
    admin = await asyncpg.connect(made.postgres.dsn)
    await admin.execute(f"CREATE ROLE bench_app LOGIN PASSWORD '{made.password}'")
    await admin.execute("CREATE DATABASE journal_template")
    await admin.close()
    owner = await asyncpg.connect(made.postgres.dsn_of("journal_template"))
    statements: list[str] = []
    create_journal(statements.append, "bench_app")
    for statement in (*statements, PROJECTION):
        await owner.execute(statement)
    await owner.close()


async def new_databases(made: Machine, rows: int) -> None:
    """Give both services a new database, and card-svc's journal `rows` committed and unsealed events."""
    admin = await asyncpg.connect(made.postgres.dsn)
    for name in ("card", "payment"):
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE journal_template")
    await admin.close()
    card = await asyncpg.connect(made.account("card", "card").database_url)
    for start in range(0, rows, 1_000):
        async with card.transaction():
            await insert_rows(card, [message(number) for number in range(start, min(rows, start + 1_000))])
    await card.close()


class Child:
    """A process of the benchmark, which says when it is ready and what it measured."""

    def __init__(self, stack: ExitStack, work: Any, *arguments: Any) -> None:
        self.told, other = SPAWN.Pipe()
        self.process = SPAWN.Process(target=work, args=(other, *arguments), daemon=True)
        self.process.start()
        stack.callback(self.end)
        self.told.recv()

    def go(self) -> None:
        """Let it begin."""
        self.told.send("go")

    def result(self, within_s: float) -> Any:
        """Wait for what it measured."""
        if not self.told.poll(within_s):
            raise TimeoutError(f"{self.process.name} measured nothing in {within_s} s")
        return self.told.recv()

    def end(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.join(10)


def journal_rate(made: Machine, *, one_by_one: bool) -> float:
    """Events a second, from the leader's start to the follower's last commit."""
    asyncio.run(new_databases(made, EVENTS))
    with ExitStack() as stack:
        follower = Child(stack, follow, made.account("payment", "payment"), EVENTS, one_by_one)
        follower.go()
        leader = Child(stack, lead, made.account("card", "card"))
        begun = time.time()
        leader.go()
        seen: Span = follower.result(120)
        return EVENTS / (seen.last_at - begun)


def reference_rate(made: Machine) -> float:
    """Messages a second, from the first publish to the last acknowledged one."""
    bodies = [message(number).body for number in range(EVENTS)]
    with ExitStack() as stack:
        publisher = Child(stack, publish, made.jetstream.url, bodies)
        consumer = Child(stack, consume, made.jetstream.url, EVENTS)
        consumer.go()
        begun = time.time()
        publisher.go()
        ended: float = consumer.result(180)
        return EVENTS / (ended - begun)


def latencies_ms(made: Machine, rate: int) -> list[float]:
    """From a commit confirmed at card-svc to the commit of its projection in payment-svc, events at `rate` a second."""
    asyncio.run(new_databases(made, 0))
    count = int(rate * OFFERED_FOR_S)
    with ExitStack() as stack:
        follower = Child(stack, follow, made.account("payment", "payment"), count, False)
        follower.go()
        leader = Child(stack, lead, made.account("card", "card"))
        leader.go()
        load = Child(stack, offer, made.account("card", "card"), [message(number) for number in range(count)], rate)
        load.go()
        committed: dict[int, float] = load.result(60)
        seen: Span = follower.result(30)
    warm = int(rate * WARM_S)
    return sorted((seen.at[number] - at) * 1_000 for number, at in committed.items() if number >= warm)


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` of the sorted values lie."""
    return values[min(len(values) - 1, int(len(values) * part))]


def main() -> None:
    """Measure in turn, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=SAMPLES_MIN, help="of each side, at least five")
    asked = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    cell = claim_test_cell()
    rates: dict[str, list[float]] = {"value": [], "one by one": [], "reference": []}
    limits: dict[str, tuple[float, float]] = {}
    try:
        with machine(cell) as made:
            for _ in range(max(SAMPLES_MIN, asked.samples)):
                rates["value"].append(round(journal_rate(made, one_by_one=False), 1))
                rates["reference"].append(round(reference_rate(made), 1))
                rates["one by one"].append(round(journal_rate(made, one_by_one=True), 1))
                print("  ".join(f"{name} {taken[-1]:,.0f}/s" for name, taken in rates.items()), flush=True)
            for rate in RATES:
                late = latencies_ms(made, rate)
                limits[f"p99_ms at {rate}/s"] = (round(percentile(late, 0.99), 1), P99_MAX_MS)
                print(f"{rate}/s: p50 {percentile(late, 0.5):.1f} ms, max {late[-1]:.1f} ms, {len(late)} events")
    finally:
        cell.release()
    reference, slow = statistics.median(rates["reference"]), statistics.median(rates["one by one"])
    # The bound is a least ratio of 1.5; limits are upper bounds, so it stands here the other way round.
    limits["reference over one statement per event"] = (round(reference / slow, 3), round(1 / RATIO_ONE_BY_ONE_MIN, 3))
    samples = {"value": rates["value"], "reference": rates["reference"]}
    report("events", samples=samples, ratio_min=RATIO_MIN, limits=limits, commands=[COMMAND])


if __name__ == "__main__":
    main()
