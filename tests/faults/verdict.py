"""The verdict: nothing acknowledged is lost, nothing is doubled, money adds up, journals verify, all have caught up.

Invariant: it is drawn after everything has settled, or it says what did not settle; an empty list is the only good one.
"""

import time
from collections import Counter
from collections.abc import Iterator

import asyncpg
import httpx

from onecard_local.callers import Unexpected, expect
from onecard_local.children import wait_until
from tests.faults.asks import Ask, Asking, read_json
from tests.faults.books import money_problems
from tests.faults.cell import AttackedCell
from tests.faults.journals import cursors_behind, journal_problems, rows_without_a_block, set_aside
from tests.faults.load import Load, Loss
from tests.faults.people import Town

CREATED_AS = {"use": "use", "refund": "refund", "loss": "card", "recovery": "card"}
LATER = {"open": {"open", "accepted", "refused", "cancelled", "confirmed"}}
"""What may follow a state; an ended one stays."""
AGAIN = 5
CELL_DOWN = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, httpx.HTTPError, Unexpected)


def settle(cell: AttackedCell, town: Town, within_s: float) -> list[str]:
    """Wait until nothing is under way any more; returns what still is when the time is up."""
    left = ["nothing could be looked at"]

    def settled() -> bool:
        nonlocal left
        try:
            left = list(unsettled(cell, town))
        except CELL_DOWN as down:
            left = [f"the cell does not answer: {down!r}"]
        return not left

    wait_until(settled, within_s=within_s, pause_s=0.5)
    return [f"after {within_s:.0f} s: {what}" for what in left]


def unsettled(cell: AttackedCell, town: Town) -> Iterator[str]:
    """Name what is under way."""
    if not cell.all_up():
        yield "a process is not running"
        return
    for table in ("card_use", "refund"):
        found = cell.ask("scenario", f"SELECT count(*) AS open FROM {table} WHERE state = 'open'")
        if found[0]["open"]:
            yield f"{found[0]['open']} rows of {table} are open"
    answer = town.operator.call("GET", "/v1/ledger/invariants", token=town.operator_token(False))
    ledger = expect(answer, 200)
    if ledger["open_payments"] or ledger["open_refunds"]:
        yield f"{ledger['open_payments']} payments and {ledger['open_refunds']} refunds are open"
    yield from rows_without_a_block(cell)
    yield from cursors_behind(cell)
    yield from set_aside(town)


def draw_verdict(cell: AttackedCell, load: Load) -> list[str]:
    """Return everything that is wrong."""
    asks = load.asking.asks
    problems = [*load.defects, *kept(load), *used_while_lost(asks, load.losses)]
    problems += [
        f"two terminals won with one code: {a}, {b}" for a, b in load.rivals if a.acknowledged and b.acknowledged
    ]
    problems += doubled(cell, asks)
    problems += money_problems(cell, load.town)
    problems += journal_problems(cell, load.town)
    problems += [f"{card} cannot be used after the attack" for card in load.use_everyones_card()]
    return problems


def kept(load: Load) -> Iterator[str]:
    """Send everything that was acknowledged once more, and read it: it is there, the same, in this state or a later."""
    cards: Counter[str] = Counter()
    for ask in load.asking.asks:
        if ask.kind not in CREATED_AS:
            continue
        if not ask.status:
            yield f"{ask} never got a clear answer"
        if ask.taken_back:
            yield f"{ask} was acknowledged and then refused: {ask.taken_back}"
        if not ask.acknowledged:
            continue
        said = list(ask.answers)
        if not send_again(load.asking, ask):
            yield f"{ask} was acknowledged, now: {ask.taken_back or 'no clear answer'}"
            continue
        name = CREATED_AS[ask.kind]
        if len({answer[name] for answer in ask.answers}) != 1:
            yield f"{ask} was answered with {[answer[name] for answer in ask.answers]}"
        if name == "card":
            cards[ask.about] = max(cards[ask.about], *(answer["version"] for answer in said))
        else:
            yield from states_in_order(ask)
    for holder in load.town.holders:
        answer = holder.channel.call("GET", f"/v1/cards/{holder.card}", token=holder.token(False))
        if answer.status_code != 200 or read_json(answer)["version"] < cards[holder.card]:
            yield f"card {holder.card} had version {cards[holder.card]}, now {answer.text[:200]}"


def send_again(asking: Asking, ask: Ask) -> bool:
    """Repeat an acknowledged ask until it is clearly answered; whether it was acknowledged again."""
    before, begun = len(ask.answers), time.monotonic()
    ask.taken_back = ""
    wait_until(lambda: asking.once(ask), within_s=AGAIN, pause_s=0.1)
    return len(ask.answers) > before and time.monotonic() - begun < AGAIN + 10


def states_in_order(ask: Ask) -> Iterator[str]:
    """What has ended does not change, and refunds only grow."""
    before: dict[str, object] | None = None
    for answer in ask.answers:
        if before is not None:
            if answer["state"] not in LATER.get(str(before["state"]), {before["state"]}):
                yield f"{ask} was {before['state']}, later {answer['state']}"
            if ask.kind == "use" and answer["refunded_fen"] < before["refunded_fen"]:
                yield f"{ask} had {before['refunded_fen']} fen refunded, later {answer['refunded_fen']}"
        before = answer


def used_while_lost(asks: list[Ask], losses: list[Loss]) -> Iterator[str]:
    """No use that began while its card was certainly reported lost was accepted."""
    for loss in losses:
        for ask in asks:
            about_it = ask.kind == "use" and ask.about == loss.holder.card and ask.acknowledged
            if about_it and loss.from_at < ask.begun_at and ask.answered_at < loss.to_at:
                yield f"{ask} was accepted {ask.begun_at - loss.from_at:.1f} s after its card was certainly lost"


def doubled(cell: AttackedCell, asks: list[Ask]) -> Iterator[str]:
    """Each key has one effect, each effect one key, each code one redemption; what was refused has none."""
    for service, table, operation, kind in (
        ("scenario", "card_use", "scenario.use_card", "use"),
        ("scenario", "refund", "scenario.refund_use", "refund"),
    ):
        made = {row["id"] for row in cell.ask(service, f"SELECT id FROM {table}")}
        keyed = cell.ask(service, "SELECT resource FROM idempotency WHERE operation = $1", operation)
        if len(keyed) != len(made) or {row["resource"] for row in keyed} != made:
            yield f"{len(made)} rows of {table} were made with {len(keyed)} keys"
        acknowledged = {ask.answer[kind] for ask in asks if ask.kind == kind and ask.acknowledged}
        if lost := acknowledged - {str(id_) for id_ in made}:
            yield f"{len(lost)} acknowledged rows of {table} are not there: {sorted(lost)[:3]}"
        tried = [ask for ask in asks if ask.kind == kind]
        if len(acknowledged) != sum(ask.acknowledged for ask in tried):
            yield f"two keys were answered with one row of {table}"
        unanswered = sum(not ask.status for ask in tried)
        if len(made) - len(acknowledged) > unanswered:
            yield f"{len(made) - len(acknowledged)} rows of {table} were made for asks that were refused"
    redeemed = cell.ask("scenario", "SELECT count(*) AS codes, count(DISTINCT card_use) AS uses FROM redemption")[0]
    uses = cell.ask("scenario", "SELECT count(*) AS uses FROM card_use")[0]["uses"]
    if not redeemed["codes"] == redeemed["uses"] == uses:
        yield f"{uses} uses, {redeemed['codes']} codes redeemed by {redeemed['uses']} of them"
