"""The bank moves money once for each instruction, whatever is repeated, late, silent or restarted."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.bank import OPENING_BALANCE_FEN, Bank, Kind, Order
from simulators.lines import LineFile

Patiently = Callable[[Awaitable[httpx.Response]], Awaitable[httpx.Response | None]]
Start = Callable[..., Awaitable[httpx.AsyncClient]]


def debit(amount_fen: int, name: str = "d-1") -> dict[str, Any]:
    return {"id": name, "kind": "debit", "account": "a-1", "merchant": "m-1", "amount_fen": amount_fen}


def refund(amount_fen: int, name: str, of: str = "d-1") -> dict[str, Any]:
    return debit(amount_fen, name) | {"kind": "refund", "debit_id": of}


async def balances(outside: httpx.AsyncClient) -> tuple[int, int]:
    """What account and merchant hold, as far from the beginning as it has moved."""
    account = (await outside.get("/bank/accounts/a-1")).json()["balance_fen"]
    merchant = (await outside.get("/bank/accounts/m-1")).json()["balance_fen"]
    return account - OPENING_BALANCE_FEN, merchant


async def test_a_debit_moves_its_amount(outside: httpx.AsyncClient) -> None:
    shown = (await outside.post("/bank/instructions", json=debit(1500))).json()
    assert (shown["state"], shown["reason"]) == ("confirmed", None)
    assert await balances(outside) == (-1500, 1500)


async def test_an_account_is_opened_once_for_one_citizen(start: Start) -> None:
    for outside in (await start(), await start()):
        opened = await outside.put("/bank/accounts/a-1", json={"citizen": "c-1"})
        assert opened.json() == {"account": "a-1", "balance_fen": OPENING_BALANCE_FEN}
        refused = await outside.put("/bank/accounts/a-1", json={"citizen": "c-2"})
        assert (refused.status_code, refused.json()) == (409, {"reason": "account-taken"})


async def test_an_opened_account_pays(outside: httpx.AsyncClient) -> None:
    await outside.post("/bank/instructions", json=debit(1500))
    opened = await outside.put("/bank/accounts/a-1", json={"citizen": "c-1"})
    assert opened.json()["balance_fen"] == OPENING_BALANCE_FEN - 1500


async def test_a_repeated_instruction_moves_nothing_more(outside: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(outside.post("/bank/instructions", json=debit(1500)) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert await balances(outside) == (-1500, 1500)


@pytest.mark.parametrize("change", [{"amount_fen": 1600}, {"account": "a-2"}, {"merchant": "m-2"}])
async def test_an_id_stands_for_one_instruction(outside: httpx.AsyncClient, change: dict[str, Any]) -> None:
    await outside.post("/bank/instructions", json=debit(1500))
    refused = await outside.post("/bank/instructions", json=debit(1500) | change)
    assert (refused.status_code, refused.json()) == (409, {"reason": "id-reused"})
    assert await balances(outside) == (-1500, 1500)


async def test_more_than_there_is_is_refused(outside: httpx.AsyncClient) -> None:
    shown = (await outside.post("/bank/instructions", json=debit(OPENING_BALANCE_FEN + 1))).json()
    assert (shown["state"], shown["reason"]) == ("refused", "insufficient-funds")
    assert (await outside.post("/bank/instructions", json=debit(OPENING_BALANCE_FEN, "d-2"))).json()["state"] == (
        "confirmed"
    )


async def test_refunds_give_back_at_most_the_debit(outside: httpx.AsyncClient) -> None:
    await outside.post("/bank/instructions", json=debit(1000))
    given_back = [(await outside.post("/bank/instructions", json=refund(600, f"r-{n}"))).json() for n in (1, 2)]
    assert [(one["state"], one["reason"]) for one in given_back] == [
        ("confirmed", None),
        ("refused", "refund-exceeds-debit"),
    ]
    assert await balances(outside) == (-400, 400)


async def test_a_refund_of_nothing_is_refused(outside: httpx.AsyncClient) -> None:
    shown = (await outside.post("/bank/instructions", json=refund(100, "r-1", of="never"))).json()
    assert (shown["state"], shown["reason"]) == ("refused", "debit-unknown")
    await outside.post("/bank/instructions", json=debit(197))  # refused by its fen
    shown = (await outside.post("/bank/instructions", json=refund(100, "r-2"))).json()
    assert shown["reason"] == "debit-unknown"


async def test_an_instruction_that_never_came_is_unknown(outside: httpx.AsyncClient) -> None:
    asked = await outside.get("/bank/instructions/never")
    assert (asked.status_code, asked.json()) == (404, {"reason": "instruction-unknown"})


@pytest.mark.parametrize(
    "wrong",
    [{"amount_fen": 0}, {"amount_fen": "100"}, {"amount_fen": 1.5}, {"debit_id": "x"}, {"merchant": "a-1"}, {"id": ""}],
)
async def test_an_order_that_makes_no_sense_is_refused(outside: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    assert (await outside.post("/bank/instructions", json=debit(100) | wrong)).status_code == 422


# What the caller of each magic amount sees, what the bank says when asked, and what has moved.
SCRIPTED = [
    (191, "slow", "confirmed", "confirmed", 191),
    (192, "down", 503, 404, 0),
    (193, "silent", None, "confirmed", 193),
    (194, "lost", None, 404, 0),
    (195, "late", "accepted", "accepted", 0),
    (196, "duplicate", 409, "confirmed", 196),
    (197, "refused", "refused", "refused", 0),
    (198, "wrong", "confirmed", "confirmed", 198),
    (199, "late_refused", "accepted", "accepted", 0),
]


@pytest.mark.parametrize("by_order", [False, True])
@pytest.mark.parametrize(("amount_fen", "mode", "answered", "asked", "moved"), SCRIPTED)
async def test_each_magic_amount_misbehaves_as_written(
    outside: httpx.AsyncClient,
    patiently: Patiently,
    by_order: bool,
    amount_fen: int,
    mode: str,
    answered: object,
    asked: object,
    moved: int,
) -> None:
    await outside.post("/bank/instructions", json=debit(100, "before"))  # the bank knows both accounts from now on
    if by_order:
        amount_fen, moved = 100, 100 if moved else 0
        await outside.post("/bank/mode", json={"mode": mode, "count": 1})
    answer = await patiently(outside.post("/bank/instructions", json=debit(amount_fen)))
    assert _seen(answer) == answered
    assert _seen(await outside.get("/bank/instructions/d-1")) == asked
    assert await balances(outside) == (-moved - 100, moved + 100)


def _seen(answer: httpx.Response | None) -> object:
    if answer is None:
        return None
    return answer.json()["state"] if answer.status_code == 200 else answer.status_code


async def test_a_wrong_answer_is_about_something_else(outside: httpx.AsyncClient) -> None:
    shown = (await outside.post("/bank/instructions", json=debit(198))).json()
    assert (shown["id"], shown["amount_fen"]) != ("d-1", 198)


async def test_a_late_instruction_settles_after_three_seconds(outside: httpx.AsyncClient, clock: Any) -> None:
    await outside.post("/bank/instructions", json=debit(195))
    await outside.post("/bank/instructions", json=debit(199, "d-2"))
    clock.forward(2.9)
    assert await balances(outside) == (0, 0)
    clock.forward(0.1)
    assert (await outside.get("/bank/instructions/d-1")).json()["state"] == "confirmed"
    assert (await outside.get("/bank/instructions/d-2")).json()["reason"] == "account-frozen"
    assert await balances(outside) == (-195, 195)


async def test_a_silent_bank_can_be_told_again_without_harm(outside: httpx.AsyncClient, patiently: Patiently) -> None:
    assert await patiently(outside.post("/bank/instructions", json=debit(193))) is None
    await outside.post("/bank/mode", json={"mode": "slow", "count": 1})
    again = await patiently(outside.post("/bank/instructions", json=debit(193)))
    assert again is not None
    assert again.json()["state"] == "confirmed"
    assert await balances(outside) == (-193, 193)


async def test_a_restarted_bank_has_forgotten_nothing(start: Start, clock: Any) -> None:
    before = await start()
    await before.post("/bank/instructions", json=debit(1000))
    await before.post("/bank/instructions", json=refund(400, "r-1"))
    await before.post("/bank/instructions", json=debit(195, "late"))
    after = await start()
    assert await balances(after) == (-600, 600)
    assert (await after.post("/bank/instructions", json=debit(1000))).json()["state"] == "confirmed"
    assert (await after.post("/bank/instructions", json=refund(601, "r-2"))).json()["state"] == "refused"
    clock.forward(3)
    assert (await after.get("/bank/instructions/late")).json()["state"] == "confirmed"
    assert await balances(after) == (-795, 795)


def test_a_line_that_a_kill_cut_off_is_dropped(tmp_path: Path, clock: Any) -> None:
    file = tmp_path / "bank.jsonl"
    lines = LineFile(file)
    order = Order(id="d-1", kind=Kind.DEBIT, account="a", merchant="m", amount_fen=100)
    Bank(lines, clock).instruct(order)
    lines.close()
    file.write_bytes(file.read_bytes()[:-7])
    lines = LineFile(file)
    bank = Bank(lines, clock)  # the cut line said "confirmed": it settles anew from the line before
    assert bank.balance_fen("a") == OPENING_BALANCE_FEN - 100
    lines.close()


_orders = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(list(Kind)), st.integers(1, 60_000), st.sampled_from([0.0, 3.0])),
    max_size=20,
)


@given(_orders)
def test_no_fen_is_made_or_lost(tmp_path_factory: pytest.TempPathFactory, orders: list[Any]) -> None:
    lines = LineFile(tmp_path_factory.mktemp("bank") / "bank.jsonl")
    bank = Bank(lines, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    for number, kind, amount_fen, delay_s in orders:
        name = f"{kind}-{number}"
        debit_id = f"debit-{number}" if kind is Kind.REFUND else None
        order = Order(id=name, kind=kind, account="a", merchant="m", amount_fen=amount_fen, debit_id=debit_id)
        if bank.find(name) is None:
            bank.instruct(order, delay_s=delay_s)
    lines.close()
    merchant = bank.balance_fen("m") if orders else 0
    assert bank.balance_fen("a") + merchant == OPENING_BALANCE_FEN
    assert bank.balance_fen("a") >= 0
    assert merchant >= 0
