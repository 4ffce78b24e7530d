"""An internal token that was seen on the wire opens nothing but the one operation that it was made for, for 30 s.

Beside every refusal the same token is tried where it belongs, so that a refusal is never for another reason. Invariant:
all refusals read the same, so a forger learns nothing from them.
"""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from chassis.crypto.secret_key import SecretKey
from chassis.internal_tokens import HEADER, LIFETIME_MS, Caller, encode
from chassis.keys import KeyFolder
from contracts.edges import EDGES, SERVICES, callers_of, operations_between
from tests.demo.cell import RunningCell
from tests.journeys.inside import NOBODY, Inside
from tests.journeys.operations import Operation, every_operation

ALL = every_operation()
BY_ID = {operation.id: operation for operation in ALL}
# One operation of each service that anybody may try often: it changes nothing.
READ = {service: BY_ID[f"{service}.status"] for service in SERVICES}


def named(operation: Operation) -> str:
    return operation.id


@pytest.fixture(scope="module")
def inside(running_cell: RunningCell) -> Iterator[Inside]:
    inside = Inside.of(running_cell)
    yield inside
    inside.http.close()


def caught(inside: Inside, operation: Operation) -> str:
    """A token as it was seen on the wire: valid, for this operation."""
    return inside.token(inside.caller_for(operation), callee=operation.service, operation=operation.id)


def refused(answer: httpx.Response) -> None:
    """Nobody gets in, and the words are the same whatever the reason."""
    assert answer.status_code == 401, answer.text[:300]
    problem = answer.json()
    assert problem["code"] == "unauthenticated"
    assert problem["detail"] == "The internal token is missing, expired, forged or meant for another operation."


def let_in(answer: httpx.Response) -> None:
    """The guard has opened, whatever the operation then makes of an empty request."""
    assert answer.status_code != 401, answer.text[:300]
    assert answer.status_code < 500, answer.text[:300]


@pytest.mark.parametrize("operation", ALL, ids=named)
def test_a_token_opens_its_own_operation_and_no_other_of_any_service(inside: Inside, operation: Operation) -> None:
    token = caught(inside, operation)
    # A body that is no JSON comes after the guard for OAuth's forms, and a missing one is refused behind it.
    let_in(inside.send(operation, token=token, content=b""))
    others = [other for other in ALL if other is not operation]
    for other in others:
        if other.service == operation.service or other is READ[other.service]:
            refused(inside.send(other, token=token, content=b""))


@pytest.mark.parametrize("operation", READ.values(), ids=named)
def test_a_token_is_worth_nothing_before_its_time_and_after_it(inside: Inside, operation: Operation) -> None:
    caller = inside.caller_for(operation)

    def made(ago_s: float) -> str:
        return inside.token(caller, callee=operation.service, operation=operation.id, made_ago_s=ago_s)

    for ago_s in (0.0, LIFETIME_MS / 1000 - 10):
        assert inside.send(operation, token=made(ago_s)).status_code == 200
    for ago_s in (LIFETIME_MS / 1000 + 0.1, 3600.0, -10.0, -3600.0):
        refused(inside.send(operation, token=made(ago_s)))


def test_a_key_of_one_edge_speaks_on_no_other(inside: Inside) -> None:
    """Every caller of the table tries its keys on every operation that the table does not give it."""
    tried = 0
    for caller, callee in sorted({(edge.caller, edge.callee) for edge in EDGES if edge.caller != "gateway"}):
        given = operations_between(caller, callee)
        speaking = replace(NOBODY, service=caller)
        for operation in ALL:
            if operation.service != callee:
                continue
            token = inside.token(speaking, callee=callee, operation=operation.id)
            answer = inside.send(operation, token=token, content=b"")
            if operation.id in given:
                let_in(answer)
            else:
                refused(answer)
                tried += 1
    assert tried > 30


@pytest.mark.parametrize("service", SERVICES)
def test_a_caller_speaks_in_no_other_ones_name(inside: Inside, service: str) -> None:
    """The key of another edge under the gateway's name, the gateway's key under another name, a key of one's own."""
    operation = READ[service]
    keys = KeyFolder(inside.cell.keys_of(service))
    gateways = _newest(keys, f"edges/gateway-{service}")
    speaker = inside.caller_for(operation)
    foreign = [SecretKey.generate(gateways.kid)]
    for other in SERVICES:
        if other != service:
            foreign.append(_newest(KeyFolder(inside.cell.keys_of(other)), f"edges/gateway-{other}"))
    for caller in callers_of(service):
        if caller != "gateway":
            foreign.append(_newest(keys, f"edges/{caller}-{service}"))
            refused(inside.send(operation, token=_signed(replace(speaker, service=caller), operation, gateways)))
    for key in foreign:
        refused(inside.send(operation, token=_signed(speaker, operation, key)))
        refused(inside.send(operation, token=_signed(speaker, operation, replace(key, kid=gateways.kid))))
    for name in ("nobody", "", service, "../gateway"):
        refused(inside.send(operation, token=_signed(replace(speaker, service=name), operation, gateways)))
    assert inside.send(operation, token=_signed(speaker, operation, gateways)).status_code == 200


@pytest.mark.parametrize("service", SERVICES)
def test_a_token_of_another_cell_or_changed_in_one_letter_is_worth_nothing(inside: Inside, service: str) -> None:
    operation = READ[service]
    token = caught(inside, operation)
    speaker = replace(inside.caller_for(operation), cell="320000")
    refused(inside.send(operation, token=inside.token(speaker, callee=service, operation=operation.id)))
    for place in range(0, len(token), 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        refused(inside.send(operation, token=changed))
    body, _, tag = token.partition(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    widened = base64.urlsafe_b64encode(json.dumps(said | {"scope": "ledger.read"}).encode()).rstrip(b"=").decode()
    for odd in (f"{widened}.{tag}", f"{body}.", f".{tag}", body, f"{token}=", f"{token}.{tag}", f"{body}. {tag}"):
        refused(inside.send(operation, token=odd))
    assert inside.send(operation, token=token).status_code == 200


def test_two_tokens_on_one_request_are_none(inside: Inside) -> None:
    operation = READ["card"]
    url = inside.cell.service_url("card") + operation.path
    token = caught(inside, operation)
    assert inside.http.get(url, headers=[(HEADER, token)]).status_code == 200
    refused(inside.http.get(url, headers=[(HEADER, token), (HEADER, token)]))


def test_the_gateway_passes_on_no_internal_token_of_its_callers(inside: Inside, running_cell: RunningCell) -> None:
    operation = READ["card"]
    answer = httpx.get(
        running_cell.public_url + operation.path, headers={HEADER: caught(inside, operation)}, timeout=10
    )
    assert answer.status_code == 401
    internal = BY_ID["identity.keys"]
    answer = httpx.get(running_cell.public_url + internal.path, headers={HEADER: caught(inside, internal)}, timeout=10)
    assert answer.status_code == 404


def _newest(keys: KeyFolder, kind: str) -> SecretKey:
    return list(keys.secrets(kind).values())[-1]


def _signed(caller: Caller, operation: Operation, key: SecretKey) -> str:
    return encode(
        caller,
        callee=operation.service,
        operation=operation.id,
        kid=key.kid,
        secret=key.value,
        now_ms=int(time.time() * 1000),
    )
