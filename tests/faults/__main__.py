"""`make faults`: attack a cell while clients retry, then draw the verdict; status 1 when something is wrong."""

import argparse
import random
import sys
import time
from collections.abc import Sequence

from tests.faults.asks import Asking
from tests.faults.cell import attacked_cell
from tests.faults.havoc import LONG, Havoc
from tests.faults.load import LONG_MAGIC, MAGIC, Load
from tests.faults.people import Founding
from tests.faults.plants import PLANTS
from tests.faults.verdict import CELL_DOWN, draw_verdict, settle

ATTACK_BASE_S, ATTACK_S_PER_KILL = 60.0, 8.0
SETTLES_WITHIN_S, SETTLES_LONG_WITHIN_S = 45.0, 180.0
RUSH_S = 3.0
"""After the last kill everybody hurries for a while: the most writers at once, and a cell that has come back."""
SHOWN = 30


def attack(seed: int, kills: int, plant: str | None) -> list[str]:
    """Run one attack from start to verdict; returns what is wrong."""
    long, begun = kills >= LONG, time.monotonic()
    with attacked_cell(seed, plant) as cell:
        town = Founding(cell, seed).town(citizens=6 if long else 3)
        say(f"the cell is up and {len(town.holders)} citizens have cards", begun)
        load = Load(town=town, asking=Asking(), seed=seed, magic=LONG_MAGIC if long else MAGIC)
        havoc = Havoc(cell=cell, seed=seed, kills=kills)
        cell.wire.lying = True
        load.start(each=3)
        try:
            havoc.run(until=time.monotonic() + ATTACK_BASE_S + ATTACK_S_PER_KILL * kills)
            load.hurry(RUSH_S)
        finally:
            load.stop()
            cell.wire.lying = False
        say(f"attacked: {dict(havoc.done)}; lies on the wire: {dict(+cell.wire.lies)}", begun)
        problems = settle(cell, town, SETTLES_WITHIN_S if plant or not long else SETTLES_LONG_WITHIN_S)
        say("settled" if not problems else "did not settle", begun)
        try:
            problems += draw_verdict(cell, load)
        except CELL_DOWN as down:
            problems.append(f"the verdict could not be drawn to its end: {down!r}")
        counts = load.asking.counts
        kinds = {
            kind: sum(a.kind == kind and a.acknowledged for a in load.asking.asks)
            for kind in ("code", "use", "refund", "loss", "recovery")
        }
        print(f"seed {seed}, {havoc.killed} kills, {counts.pop('requests')} requests")
        print(f"  acknowledged: {kinds}")
        print(f"  answers: {dict(counts.most_common())}")
        if havoc.killed < kills:
            problems.append(f"only {havoc.killed} of {kills} kills were done: {havoc.log[-3:]}")
    return problems


def say(what: str, begun: float) -> None:
    """Tell how far it is."""
    print(f"{time.monotonic() - begun:6.1f} s  {what}", flush=True)


def main(words: Sequence[str] | None = None) -> int:
    """Attack and print the verdict."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--plant", choices=PLANTS, help="break the cell on purpose: the verdict has to say so")
    arguments = parser.parse_args(words)
    problems = attack(arguments.seed, arguments.kills, arguments.plant)
    for problem in problems[:SHOWN]:
        print(f"  wrong: {problem}")
    wrong = f"{len(problems)} things are wrong"
    print(f"verdict: {wrong if problems else 'nothing lost, nothing doubled, all caught up'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
