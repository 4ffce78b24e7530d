"""The card maker makes each batch once, and sends it off after a while."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

Patiently = Callable[[Awaitable[httpx.Response]], Awaitable[httpx.Response | None]]
Start = Callable[..., Awaitable[httpx.AsyncClient]]


def batch(name: str = "b-1", *plates: tuple[str, str]) -> dict[str, Any]:
    chosen = plates or (("c-1", "范例甲"), ("c-2", "范例翁"))
    number = "330000199001010014"
    return {"batch": name, "plates": [{"card": card, "name": who, "document_number": number} for card, who in chosen]}


async def test_a_batch_is_accepted_and_dispatched_after_a_while(outside: httpx.AsyncClient, clock: Any) -> None:
    taken = await outside.post("/card-maker/batches", json=batch())
    assert taken.status_code == 202
    assert taken.json()["state"] == "accepted"
    assert {plate["serial"] for plate in taken.json()["plates"]} == {None}
    clock.forward(1)
    shown = (await outside.get("/card-maker/batches/b-1")).json()
    assert shown["state"] == "dispatched"
    assert [plate["serial"] for plate in shown["plates"]] == ["330000000001", "330000000002"]


async def test_a_repeated_batch_is_the_same_batch(outside: httpx.AsyncClient, clock: Any) -> None:
    for _ in range(3):
        await outside.post("/card-maker/batches", json=batch())
    await outside.post("/card-maker/batches", json=batch("b-2", ("c-3", "范例工")))
    clock.forward(1)
    assert (await outside.get("/card-maker/batches/b-2")).json()["plates"][0]["serial"] == "330000000003"
    other = await outside.post("/card-maker/batches", json=batch("b-1", ("c-9", "范例客")))
    assert (other.status_code, other.json()) == (409, {"reason": "id-reused"})


async def test_a_card_that_spoils_and_is_made_again_makes_its_batch_late(
    outside: httpx.AsyncClient, clock: Any
) -> None:
    await outside.post("/card-maker/batches", json=batch("b-1", ("c-1", "范例甲"), ("c-2", "范例损")))
    states = []
    for seconds in (1, 10):
        clock.forward(seconds)
        states.append((await outside.get("/card-maker/batches/b-1")).json()["state"])
    assert states == ["accepted", "dispatched"]


async def test_a_restarted_card_maker_has_forgotten_nothing_and_kept_no_names(
    start: Start, clock: Any, tmp_path: Path
) -> None:
    await (await start()).post("/card-maker/batches", json=batch())
    after = await start()
    assert (await after.post("/card-maker/batches", json=batch())).status_code == 202
    await after.post("/card-maker/batches", json=batch("b-2", ("c-3", "范例工")))
    clock.forward(1)
    assert (await after.get("/card-maker/batches/b-2")).json()["plates"][0]["serial"] == "330000000003"
    kept = (tmp_path / "state" / "card-maker.jsonl").read_text(encoding="utf-8")
    assert "范例" not in kept
    assert "330000199001010014" not in kept


async def test_a_batch_that_never_came_is_unknown(outside: httpx.AsyncClient) -> None:
    assert (await outside.get("/card-maker/batches/never")).json() == {"reason": "batch-unknown"}


async def test_modes_by_order(outside: httpx.AsyncClient, patiently: Patiently, clock: Any) -> None:
    seen: dict[str, object] = {}
    for mode in ("slow", "down", "silent", "lost", "late", "duplicate", "wrong"):
        await outside.post("/card-maker/mode", json={"mode": mode, "count": 1})
        answer = await patiently(outside.post("/card-maker/batches", json=batch(mode)))
        clock.forward(1)
        asked = await outside.get(f"/card-maker/batches/{mode}")
        state = asked.json()["state"] if asked.status_code == 200 else asked.status_code
        seen[mode] = (answer and answer.status_code, state)
    assert seen == {
        "slow": (202, "dispatched"),
        "down": (503, 404),
        "silent": (None, "dispatched"),
        "lost": (None, 404),
        "late": (202, "accepted"),
        "duplicate": (409, "dispatched"),
        "wrong": (202, "dispatched"),
    }
