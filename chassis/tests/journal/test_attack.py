"""A small seeded attack: the wire lies, sessions die, transactions roll back, events are poisoned, all at once.

The verdict is worth something only because a planted fault, a leader that does not wait for open writers, fails it.
"""

import asyncio
import os
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest

from chassis.journal import follower, horizon
from chassis.journal.writing import insert_rows

SEED = int(os.environ.get("ATTACK_SEED", "20261124"))
SECONDS = float(os.environ.get("ATTACK_SECONDS", "5"))
KEYS = [f"k{i}" for i in range(40)]
POISONED = ("k3", "k7")


@dataclass
class Attack:
    """What was done, so that what came out can be held against it."""

    dice: random.Random
    committed: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    rolled_back: int = 0
    disturbed: int = 0
    faults: list[str] = field(default_factory=list)
    past: list[bytes] = field(default_factory=list)
    over: bool = False

    def arriving(self, subject: str, data: bytes) -> list[bytes]:
        """Drop, repeat, disorder and flip; what is kept of the past comes again later."""
        if not subject.endswith(".block"):
            return [data]
        chance = self.dice.random()
        self.past.append(data)
        if chance < 0.80:
            return [data]
        self.disturbed += 1
        if chance < 0.87:
            return []
        old = self.dice.choice(self.past[-50:])
        if chance < 0.93:
            return [old, data, data]
        flipped = bytearray(data)
        flipped[self.dice.randrange(len(flipped))] ^= 1 << self.dice.randrange(8)
        return [bytes(flipped), old]

    async def write(self, rig: Any) -> None:
        """One writer: changes a card, says so, keeps the transaction open for a moment, commits or does not."""
        async with rig.cards.app() as connection:
            while not self.over:
                key, open_for_s = self.dice.choice(KEYS), self.dice.random() * 0.03
                rolls_back = self.dice.random() < 0.1
                transaction = connection.transaction()
                await transaction.start()
                version = await connection.fetchval(
                    "INSERT INTO card VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET version = card.version + 1"
                    " RETURNING version",
                    key,
                )
                await insert_rows(connection, [rig.event(key, version), rig.event(key, version, kind="a")])
                await asyncio.sleep(open_for_s)
                if rolls_back:
                    await transaction.rollback()
                    self.rolled_back += 1
                else:
                    await transaction.commit()
                    self.committed[key].append(version)

    async def break_things(self, rig: Any, server: Any, consumer: Any) -> None:
        """Kill the leader's session, the consumer's sessions, NATS; each comes back by itself or is started again."""
        while not self.over:
            await asyncio.sleep(self.dice.uniform(0.3, 0.7))
            fault = self.dice.choice(["leader", "consumer", "nats"])
            self.faults.append(fault)
            if fault == "leader":
                await rig.cards.value("SELECT pg_terminate_backend(backend) FROM journal_lease")
            elif fault == "consumer":
                await rig.payments.value(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            else:
                server.kill()
                server.start()


async def attack(
    rig: Any, server: Any, seed: int, seconds: float, settles_within_s: float = 30.0
) -> tuple[Attack, list[str]]:
    """Run the attack, let everything settle, and return what is wrong."""
    attack = Attack(random.Random(seed))
    rig.nats_url = server.url
    for key in POISONED:
        await rig.payments.change("INSERT INTO poison VALUES ($1)", key)
    await rig.tell()
    wire = rig.bus("payment")
    wire.arriving = attack.arriving
    consumer = await rig.follow(bus=wire)
    doing = [asyncio.create_task(attack.write(rig)) for _ in range(8)]
    doing.append(asyncio.create_task(attack.break_things(rig, server, consumer)))
    await asyncio.sleep(seconds)
    attack.over = True
    await asyncio.gather(*doing)
    await rig.payments.change("DELETE FROM poison")

    async def nothing_set_aside() -> bool:
        await rig.payments.change("UPDATE journal_set_aside SET due = now() WHERE due IS NOT NULL")
        return bool(await rig.payments.value("SELECT count(*) FROM journal_set_aside") == 0)

    try:
        await rig.settled(settles_within_s)
        await rig.until(nothing_set_aside, "the retries", settles_within_s)
    except AssertionError as error:
        return attack, [str(error).splitlines()[0], *await problems(rig, attack)]
    return attack, await problems(rig, attack)


async def problems(rig: Any, attack: Attack) -> list[str]:
    """Hold what was applied against what was committed."""
    found: list[str] = []
    applied: dict[str, list[int]] = defaultdict(list)
    for key, version in await rig.payments.versions():
        applied[key].append(version)
    for key in KEYS:
        if applied[key] != sorted(attack.committed[key]):
            found.append(f"{key}: committed {sorted(attack.committed[key])}, applied {applied[key]}")
    positions = [r["position"] for r in await rig.payments.fetch("SELECT position FROM applied ORDER BY position")]
    if positions != list(range(1, len(positions) + 1)):
        found.append("positions have gaps")
    head = await rig.payments.fetch("SELECT block, head FROM journal_cursor")
    verdict = await rig.verdict([(row["block"], row["head"]) for row in head])
    if not verdict.is_right:
        found.append(f"block {verdict.block}: {verdict.problem}")
    if verdict.events != sum(len(versions) for versions in attack.committed.values()):
        found.append(f"{verdict.events} events are numbered")
    return found


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "LOOK_FOR_DUE_S", 0.1)


async def test_nothing_committed_is_lost_doubled_or_out_of_order(rig: Any, nats_server: Any) -> None:
    done, found = await attack(rig, nats_server(rig.users.config), SEED, SECONDS)
    assert found == [], f"seed {SEED}, faults {done.faults}"
    assert sum(map(len, done.committed.values())) > 100
    assert done.rolled_back > 10
    assert done.disturbed > 0
    assert done.faults


async def test_a_leader_that_does_not_wait_for_open_writers_fails_the_verdict(
    rig: Any, nats_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(horizon, "still_open", lambda waiting, writers: frozenset())
    _, found = await attack(rig, nats_server(rig.users.config), SEED, 1.5, settles_within_s=3.0)
    assert any("committed" in problem for problem in found)
    assert any(problem.startswith("block ") for problem in found)
