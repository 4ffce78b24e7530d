"""Reads from the source which service calls which, and holds it against the table of edges and the callee's routes.

Protects the table: NetworkPolicies and the check of internal tokens are derived from it, so a call that stands only
in code would fail in production, and a row that nobody uses would open a way that nobody needs.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from services import Operation

from contracts.edges import ANY_ROUTE, SERVICES, Edge

PLACE_OF_PEERS = "chassis.peers"
TOKEN_MAKER = "chassis.internal_tokens"
OPERATION = re.compile(rf"({'|'.join(SERVICES)})\.[a-z_]+")
HTTP_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True, order=True, kw_only=True)
class PeerCall:
    """`peer.call("card.state_now", "GET", "/internal/cards/…")` as it stands in the source."""

    caller: str
    operation: str
    method: str | None  # None: not written out
    path: str | None  # parameters as {}; None: not written out
    place: str


def callees_and_calls(caller: str, place: str, tree: ast.Module) -> Iterator[str | PeerCall]:
    """Every call of a peer in a module, and a sentence for each that cannot be read."""
    imports = {node.module: {a.name for a in node.names} for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    if "encode" in imports.get(TOKEN_MAKER, set()):
        yield f"{place}: makes internal tokens by itself; only {PLACE_OF_PEERS} and the gateway do"
    if "Peer" not in imports.get(PLACE_OF_PEERS, set()):
        return
    passing_on = list(functions_that_pass_on(tree))
    method_of: dict[str, str | None] = {"call": None}
    method_of.update((name, method) for name, method, _ in passing_on)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args or called(node) not in method_of:
            continue
        at, first = f"{place}:{node.lineno}", literal(node.args[0])
        if first is not None and first not in HTTP_METHODS:
            words = [text for argument in node.args[1:] if (text := literal(argument))]
            method = next((word for word in words if word in HTTP_METHODS), method_of[called(node)])
            path = next((word for word in words if word.startswith("/")), None)
            yield PeerCall(caller=caller, operation=first, method=method, path=path, place=at)
        elif first is None and all(node is not passed_on for *_, passed_on in passing_on):
            yield f"{at}: the operation of a call between services is written out"


def functions_that_pass_on(tree: ast.Module) -> Iterator[tuple[str, str | None, ast.Call]]:
    """The private functions of a module through which its calls go: `_ask(operation, path, …)`.

    Each with the HTTP method that it writes out, and the call in which it passes the operation on.
    """
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or not function.name.startswith("_"):
            continue
        operation = next((a.arg for a in function.args.args if a.arg != "self"), None)
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and node.args and called(node) == "call":
                first, *others = node.args
                if isinstance(first, ast.Name) and first.id == operation:
                    methods = (literal(argument) for argument in others)
                    yield function.name, next((m for m in methods if m in HTTP_METHODS), None), node


def called(node: ast.Call) -> str:
    """`peer.call(…)` -> `call`."""
    return str(getattr(node.func, "attr", getattr(node.func, "id", "")))


def literal(node: ast.expr) -> str | None:
    """The text of a literal; in an f-string each value is {}."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
    return None


def peer_calls(root: Path, services: Iterable[str]) -> tuple[list[PeerCall], list[str]]:
    """Every call from one service to another under `root`, and what cannot be read."""
    calls: list[PeerCall] = []
    unreadable: list[str] = []
    for caller in services:
        for path in sorted((root / f"{caller}-svc" / "src").rglob("*.py")):
            place = path.relative_to(root).as_posix()
            for found in callees_and_calls(caller, place, ast.parse(path.read_text())):
                if isinstance(found, PeerCall):
                    calls.append(found)
                else:
                    unreadable.append(found)
    return calls, unreadable


def gateway_asks(root: Path) -> list[PeerCall]:
    """Operations that the gateway's own code names; the routed ones stand in its route file."""
    return [
        PeerCall(caller="gateway", operation=node.value, method=None, path=None, place=path.name)
        for path in sorted((root / "gateway" / "src").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and OPERATION.fullmatch(node.value)
    ]


def named_by(edges: Iterable[Edge]) -> set[tuple[str, str]]:
    """Caller and operation of every row that names its operations."""
    return {(e.caller, name) for e in edges if e.operations != ANY_ROUTE for name in e.operations}


def calls_without_an_edge(calls: Iterable[PeerCall], edges: Iterable[Edge]) -> list[str]:
    """Calls that the table does not know."""
    allowed = named_by(edges)
    return [
        f"{call.place}: {call.caller} calls {call.operation}, which contracts.edges does not allow"
        for call in calls
        if (call.caller, call.operation) not in allowed
    ]


def edges_without_a_call(calls: Iterable[PeerCall], edges: Iterable[Edge], callers: Iterable[str]) -> list[str]:
    """Rows of the table that no code of an existing caller uses."""
    made, there = {(call.caller, call.operation) for call in calls}, set(callers)
    return [
        f"contracts.edges lets {caller} call {operation}, and nothing does"
        for caller, operation in sorted(named_by(edges) - made)
        if caller in there
    ]


def edges_without_a_route(edges: Iterable[Edge], operations: Mapping[str, set[Operation]]) -> list[str]:
    """Operations of the table that an existing callee does not offer."""
    offered = {op.operation for of_service in operations.values() for op in of_service}
    return [
        f"contracts.edges lets {edge.caller} call {name}, which {edge.callee}-svc does not offer"
        for edge in edges
        if edge.callee in operations and edge.operations != ANY_ROUTE
        for name in sorted(edge.operations - offered)
    ]


def calls_of_another_address(calls: Iterable[PeerCall], operations: Mapping[str, set[Operation]]) -> list[str]:
    """Calls whose written method or path is not that of the operation they name."""
    offered = {op.operation: op for of_service in operations.values() for op in of_service}
    wrong: list[str] = []
    for call in calls:
        if (there := offered.get(call.operation)) is None:
            continue
        path = None if call.path is None else call.path.partition("?")[0]
        if call.method not in (None, there.method) or path not in (None, re.sub(r"\{[^}]*\}", "{}", there.path)):
            wrong.append(f"{call.place}: {call.operation} is {there.method} {there.path}, not {call.method} {path}")
    return wrong


def routes_and_services_differ(routes: set[Operation], operations: Mapping[str, set[Operation]]) -> list[str]:
    """What the gateway routes and no existing service offers, and what one offers and the gateway does not route."""
    public = {op for of_service in operations.values() for op in of_service if not op.is_internal}
    routed = {route for route in routes if route.service in operations}
    return [
        *(
            f"routes.toml: {r.operation} as {r.method} {r.path} is offered by no service"
            for r in sorted(routed - public)
        ),
        *(f"{o.service}-svc: {o.operation} as {o.method} {o.path} is not routed" for o in sorted(public - routed)),
        *(f"routes.toml: {r.path} is internal and must not be routed" for r in sorted(routes) if r.is_internal),
    ]
