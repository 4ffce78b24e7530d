"""status, doctor and ledger: on a whole cell that is well, and on one that is not."""

import json
from email.utils import formatdate
from typing import Any

import httpx

from contracts.edges import FOLLOWS, SERVICES


def problem(status: int, code: str, detail: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": detail}, headers=headers)


def answers(path: str, answer: httpx.Response) -> Any:
    """Plan one answer for one path, time after time."""
    return lambda request: answer if request.url.path == path else None


async def test_a_cell_that_is_well_says_so_for_every_service(cell: Any) -> None:
    result = await cell.onecard("status", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["well"] is True
    assert [service["service"] for service in said["services"]] == list(SERVICES)
    for service in said["services"]:
        assert (service["ready"], service["leading"], service["nats_connected"]) == (True, True, True)
        assert tuple(f["source"] for f in service["followers"]) == tuple(sorted(FOLLOWS[service["service"]]))
    assert said["services"][0]["position"] >= 1  # identity has told of its first operator


async def test_the_names_in_the_json_of_a_service_are_promised(cell: Any) -> None:
    said = json.loads((await cell.onecard("status", "--json")).stdout)
    assert set(said["services"][1]) == {
        *("service", "answers", "well", "troubles", "cell", "ready", "problem", "leading", "error", "term", "block"),
        *("position", "horizon_age_s", "nats_connected", "nats_refusals", "set_aside", "followers"),
    }
    assert set(said["services"][1]["followers"][0]) == {"source", "state", "reason", "block", "position", "age_s"}


async def test_the_table_has_one_line_for_each_service(cell: Any) -> None:
    result = await cell.onecard("status")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["service", "ready", "journal", "block", "position", "set", "aside", "NATS", "follows"]
    assert [line[0] for line in lines[1:]] == list(SERVICES)
    assert all(line[1:3] == ["yes", "leads"] and "connected" in line for line in lines[1:])
    assert lines[5][-1] == "-"  # interop follows nobody


async def test_a_service_that_does_not_answer_is_a_line_and_not_the_end(cell: Any) -> None:
    down = problem(503, "service-down", "The service does not answer.")
    cell.door.planned = answers("/v1/services/card/status", down)
    result = await cell.onecard("status", "--json")
    assert result.exit_code == 1
    card = json.loads(result.stdout)["services"][1]
    assert card["answers"] is False
    assert card["troubles"] == ["does not answer: The service does not answer. (service-down, HTTP 503)"]
    assert len([r for r in cell.door.seen if r.url.path == "/v1/services/card/status"]) == 3
    human = await cell.onecard("status")
    assert "card      no answer" in human.stdout
    assert "card-svc does not answer" in human.stdout


async def test_old_knowledge_and_lost_connections_are_named(cell: Any) -> None:
    path = "/v1/services/payment/status"
    said = (await cell.services["payment"].call("GET", path)).json()
    journal = said["journal"] | {"nats_connected": False}
    journal["followers"]["card"] |= {"age_s": 400.0, "state": "unanswered", "reason": "the source does not answer"}
    cell.door.planned = answers(path, httpx.Response(200, json=said | {"journal": journal}))
    result = await cell.onecard("status", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["services"][2]["troubles"] == [
        "has no connection to NATS",
        "follows card 7 min behind (unanswered: the source does not answer)",
    ]
    doctor = await cell.onecard("doctor", "--json")
    failed = [check["name"] for check in json.loads(doctor.stdout)["checks"] if check["outcome"] == "fail"]
    assert (doctor.exit_code, failed) == (1, ["journal payment", "follower payment<-card"])


async def test_the_doctor_finds_a_cell_well(cell: Any) -> None:
    result = await cell.onecard("doctor", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert {check["outcome"] for check in said["checks"]} == {"ok"}
    names = [check["name"] for check in said["checks"]]
    assert names[:6] == ["gateway", "transport", "clock", "discovery", "trust-list", "credentials"]
    assert {f"service {s}" for s in SERVICES} | {f"set-aside {s}" for s in SERVICES} <= set(names)
    assert "follower scenario<-payment" in names
    assert names[-1] == "ledger"
    human = await cell.onecard("doctor")
    assert human.exit_code == 0
    assert all(line.startswith("ok ") for line in human.stdout.splitlines())


async def test_the_doctor_needs_no_credentials_to_say_that_they_are_missing(cell: Any) -> None:
    result = await cell.onecard("doctor", "--json", env={"ONECARD_OPERATOR": ""})
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert result.exit_code == 1
    assert checks["trust-list"]["outcome"] == "ok"
    assert checks["credentials"]["outcome"] == "fail"
    assert "kind operator" in checks["credentials"]["remedy"]


async def test_the_doctor_sees_a_client_file_that_others_can_read(cell: Any) -> None:
    cell.operator.chmod(0o644)
    try:
        result = await cell.onecard("doctor", "--json")
    finally:
        cell.operator.chmod(0o600)
    warned = [check for check in json.loads(result.stdout)["checks"] if check["outcome"] == "warn"]
    assert result.exit_code == 0
    assert [(check["name"], check["remedy"]) for check in warned] == [("credentials", "chmod 600 that file.")]


async def test_the_doctor_compares_the_clocks(cell: Any) -> None:
    for seconds, outcome in ((0.0, "ok"), (-10.0, "warn"), (10.0, "warn"), (3600.0, "fail")):
        date = formatdate(cell.now_s() + seconds, usegmt=True)
        cell.door.planned = answers("/", httpx.Response(200, headers={"date": date}))
        result = await cell.onecard("doctor", "--json")
        clock = next(check for check in json.loads(result.stdout)["checks"] if check["name"] == "clock")
        assert clock["outcome"] == outcome, (seconds, clock)
        assert ("ahead" in clock["found"]) == (seconds > 2)


async def test_the_doctor_refuses_an_address_that_the_cell_does_not_call_itself(cell: Any) -> None:
    result = await cell.onecard("doctor", "--url", "http://127.0.0.1:8080", "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert (result.exit_code, checks["discovery"]["outcome"]) == (1, "fail")
    assert "credentials" not in checks
    assert not [request for request in cell.door.seen if request.url.path == "/oauth/token"]


async def test_the_doctor_ends_with_3_when_there_is_no_gateway(cell: Any) -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    cell.door.planned = nobody
    result = await cell.onecard("doctor", "--json")
    assert result.exit_code == 3
    [check] = json.loads(result.stdout)["checks"]
    assert (check["name"], check["found"]) == ("gateway", "http://localhost:8080 cannot be reached.")


async def test_an_empty_trust_list_and_a_broken_ledger_fail_with_a_remedy(cell: Any) -> None:
    ledger = (await cell.services["payment"].call("GET", "/v1/ledger/invariants")).json()

    def plan(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/v1/trust-list":
            return httpx.Response(200, json={"cell": "330000", "keys": [], "as_of": "2026-01-01T00:00:00Z"})
        if request.url.path == "/v1/ledger/invariants":
            return httpx.Response(200, json=ledger | {"ok": False, "broken": ["entries-sum-to-0"], "sum_fen": 5})
        return None

    cell.door.planned = plan
    result = await cell.onecard("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert result.exit_code == 1
    assert (checks["trust-list"]["outcome"], checks["ledger"]["outcome"]) == ("fail", "fail")
    assert checks["ledger"]["found"] == "Broken: entries-sum-to-0."
    assert all(check["remedy"] for check in checks.values() if check["outcome"] != "ok")


async def test_the_ledger_of_a_new_cell(cell: Any) -> None:
    result = await cell.onecard("ledger", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["ok"], said["broken"], said["sum_fen"]) == (True, [], 0)
    human = await cell.onecard("ledger")
    assert human.stdout.splitlines()[-1] == "Every invariant holds."
    assert human.stdout.splitlines()[1].split() == ["sum", "(yuan)", "0.00"]


async def test_a_ledger_that_does_not_sum_to_0_ends_with_1(cell: Any) -> None:
    ledger = (await cell.services["payment"].call("GET", "/v1/ledger/invariants")).json()
    broken = ledger | {"ok": False, "broken": ["entries-sum-to-0"], "sum_fen": 12345}
    cell.door.planned = answers("/v1/ledger/invariants", httpx.Response(200, json=broken))
    result = await cell.onecard("ledger")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].split() == ["sum", "(yuan)", "123.45"]
    assert result.stdout.splitlines()[-1] == "BROKEN: entries-sum-to-0."
