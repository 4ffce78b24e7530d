"""Named checks of a whole cell, from outside, each with what was found and what to do about it.

Invariant: a check that could not be made is not reported as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from contracts.card_code import CardCodeError, keys_from_trust_list
from onecard.cell import Answer, Cell
from onecard.failures import Failure, Misused, Unreachable
from onecard.ledger import read_ledger
from onecard.settings import is_protected
from onecard.status import SCOPE, Line, NoAnswer, ServiceLine, age_words, counted, read_status

SKEW_WARN_S = 2.0
SKEW_FAIL_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked at."""

    name: str
    outcome: Literal["ok", "warn", "fail"]
    found: str
    remedy: str | None = None  # None when it is ok


def ok(name: str, found: str) -> Check:
    """What was looked at is well."""
    return Check(name=name, outcome="ok", found=found)


def warn(name: str, found: str, remedy: str) -> Check:
    """It works, and somebody should look at it."""
    return Check(name=name, outcome="warn", found=found, remedy=remedy)


def fail(name: str, found: str, remedy: str) -> Check:
    """It does not work."""
    return Check(name=name, outcome="fail", found=found, remedy=remedy)


def examine(cell: Cell) -> Iterator[Check]:
    """Make every check; those that need what has already failed are left out, and the failed one says so."""
    try:
        answer = cell.look("/")  # the gateway's own page: no service is needed for it
    except Unreachable as failure:
        yield fail(
            "gateway",
            str(failure),
            "Start the cell (`make run` on one machine) or correct ONECARD_PUBLIC_URL; nothing else was checked.",
        )
        return
    yield ok("gateway", f"{cell.url} answers in {answer.took_s * 1000:.0f} ms.")
    yield _transport(cell)
    yield _clock(cell, answer)
    discovery = _discovery(cell)
    yield discovery
    yield _trust_list(cell)
    if discovery.outcome == "ok":
        yield from _as_operator(cell)


def _transport(cell: Cell) -> Check:
    if is_protected(cell.url):
        return ok("transport", "Nobody on the way can read what is sent.")
    return warn(
        "transport",
        f"{cell.url} is plain HTTP over a network: secret and tokens can be read on the way.",
        "Use the https address; plain HTTP over a network is for the sandbox only.",
    )


def _clock(cell: Cell, answer: Answer) -> Check:
    """Hold the Date header, which has whole seconds, against our own clock."""
    try:
        theirs_s = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return warn("clock", "The gateway's answer carries no Date.", "Compare the clocks by hand.")
    ours_s = cell.world.now_s()
    # The answer was made some time between asking and now, in the second that the header names.
    ahead_s = max(theirs_s - ours_s, 0.0)
    behind_s = max(ours_s - answer.took_s - (theirs_s + 1.0), 0.0)
    apart_s = max(ahead_s, behind_s)
    found = f"The gateway's clock is {'ahead of' if ahead_s else 'behind'} this machine's by {apart_s:.0f} s."
    remedy = "Let both machines take their time from the same source (chrony, systemd-timesyncd)."
    if apart_s <= SKEW_WARN_S:
        return ok("clock", "The gateway's clock and this machine's agree.")
    return (warn if apart_s <= SKEW_FAIL_S else fail)("clock", found, remedy)


def _discovery(cell: Cell) -> Check:
    try:
        endpoint = cell.token_endpoint()
    except Misused as failure:
        return fail("discovery", str(failure), "Use the address that the cell calls itself; the rest needs it.")
    except Failure as failure:
        return fail("discovery", str(failure), "See why identity-svc does not answer; the rest needs it.")
    return ok("discovery", f"The cell names itself as it was asked, and its token endpoint {endpoint}.")


def _trust_list(cell: Cell) -> Check:
    remedy = "Terminals cannot verify cards without it: look at interop-svc and its key folder card-code/public."
    try:
        answer = cell.look("/v1/trust-list")
        keys = keys_from_trust_list(answer.said().as_json()) if answer.status == 200 else None
    except (Failure, CardCodeError) as failure:
        return fail("trust-list", str(failure), remedy)
    if not keys:
        why = "names no key" if keys is not None else f"answers HTTP {answer.status}"
        return fail("trust-list", f"The trust list {why}.", remedy)
    return ok("trust-list", f"{len(keys)} key{'' if len(keys) == 1 else 's'} for verifying card codes.")


def _as_operator(cell: Cell) -> Iterator[Check]:
    try:
        cell.token(SCOPE)
    except Failure as failure:
        remedy = "Use a registered client of kind operator with the scopes journal.read and ledger.read."
        yield fail("credentials", str(failure), f"{remedy} Services and ledger were not checked.")
        return
    yield _credentials(cell)
    for line in read_status(cell):
        yield from _service(line)
    yield _ledger(cell)


def _credentials(cell: Cell) -> Check:
    if cell.credentials is not None and cell.credentials.readable_by_others:
        return warn("credentials", "Other users of this machine can read the client file.", "chmod 600 that file.")
    return ok("credentials", "The operator's client gets its token.")


def _service(line: Line) -> Iterator[Check]:
    name = f"service {line.service}"
    if isinstance(line, NoAnswer):
        yield fail(name, line.problem, f"See whether {line.service}-svc runs, and its log.")
        return
    if line.ready:
        yield ok(name, f"Ready, and {'leads' if line.leading else 'does not lead'} its journal.")
    else:
        yield fail(name, line.problem or "Not ready.", f"See the database of {line.service}-svc and its log.")
    yield from _journal(line)
    yield _set_aside(line)


def _journal(line: ServiceLine) -> Iterator[Check]:
    name = f"journal {line.service}"
    if not line.nats_connected or line.nats_refusals:
        found = "No connection to NATS." if not line.nats_connected else "NATS refuses what the service asks for."
        yield fail(name, found, "See whether NATS runs and knows the service's user and rights.")
    elif not line.leading:
        yield warn(
            name,
            line.error or "The process that answered does not lead; what it follows shows only at the one that does.",
            "Ask again; when none of the service's processes leads, see its direct database address and its log.",
        )
    else:
        yield ok(name, f"Sealed up to position {line.position} (block {line.block}).")
    for follower in line.followers if line.leading else ():
        about = f"follower {line.service}<-{follower.source}"
        if follower.state == "following" and follower.is_fresh:
            yield ok(about, f"{age_words(follower.age_s)} old.")
        else:
            reason = follower.reason or f"what it knows is {age_words(follower.age_s)} old"
            yield fail(
                about,
                f"{follower.state}: {reason.removesuffix('.')}.",
                _follower_remedy(follower.state, follower.source),
            )


def _follower_remedy(state: str, source: str) -> str:
    if state == "forked":
        return f"Never adopt it: find out who changed {source}-svc's journal, then rebuild the projection from it."
    if state == "stopped":
        return "Too many events fail, so the handler is at fault: correct it; `onecard set-aside list` names them."
    return f"See whether {source}-svc leads its journal and NATS runs; it catches up by itself."


def _set_aside(line: ServiceLine) -> Check:
    name = f"set-aside {line.service}"
    if not line.set_aside:
        return ok(name, "Nothing is set aside.")
    return fail(
        name,
        f"{counted(line.set_aside)} could not be applied; what they are about is refused meanwhile.",
        f"`onecard set-aside list {line.service}` says why; remove the cause, then `onecard set-aside retry`.",
    )


def _ledger(cell: Cell) -> Check:
    try:
        ledger = read_ledger(cell)
    except Failure as failure:
        return fail("ledger", str(failure), "See whether payment-svc runs; the client needs the scope ledger.read.")
    if not ledger.ok or ledger.sum_fen != 0:
        broken = ", ".join(ledger.broken) or "entries-sum-to-0"
        return fail("ledger", f"Broken: {broken}.", "Stop charges (stop payment-svc) and compare with the bank.")
    if ledger.waiting_long:
        return warn(
            "ledger",
            f"The bank has not decided {ledger.waiting_long} payments or refunds for over an hour.",
            "Ask the bank about them; they stay open until it has said.",
        )
    return ok("ledger", f"{ledger.entries} entries sum to 0, up to position {ledger.up_to_position}.")
