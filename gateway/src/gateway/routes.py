"""The route file, checked and compiled: which request goes to which operation, and what it takes to be let in.

Invariant: a request that no line of the file describes finds no route; a route that is not public names a scope.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.edges import SERVICES

DEFAULT_FILE: Final = Path(__file__).with_name("routes.toml")
BODY_LIMIT_BYTES: Final = 1_048_576
TIMEOUT_S: Final = 5.0
TIMEOUT_MAX_S: Final = 60.0
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ASSURANCE: Final = ("", "client", "real-name", "real-person")
"""From weak to strong; a place in this tuple is a rank."""

_PATH = re.compile(r"(?:/(?:[a-z0-9.-]+|\{[a-z]+\}))+")
_OPERATION = re.compile(r"[a-z]+\.[a-z_]+")
_SCOPE = re.compile(r"[a-z]+(?:\.[a-z]+)*")
_KINDS: Final = {
    "path": str,
    "methods": list,
    "service": str,
    "operation": str,
    "scopes": list,
    "assurance": str,
    "sensitive": bool,
    "body_limit": int,
    "timeout_s": (int, float),
    "public": bool,
}
_REQUIRED: Final = ("path", "methods", "service", "operation")


class RouteFileError(Exception):
    """The route file is not as its schema wants it; the message names line and route."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One [[route]] of the file."""

    path: str
    methods: tuple[str, ...]
    service: str
    operation: str  # the operation id of the service's route
    scopes: frozenset[str]  # any one of them is enough
    assurance: int  # rank in ASSURANCE
    sensitive: bool  # refused when the revocation copy is too old
    body_limit: int  # bytes; 0 = no body
    timeout_s: float  # until the answer's head, and between two pieces of its body
    public: bool  # no token


class _Place:
    """A node of the compiled tree: the next segment is either one of some names or a parameter, never both."""

    __slots__ = ("names", "parameter", "routes")

    def __init__(self) -> None:
        self.names: dict[str, _Place] = {}
        self.parameter: _Place | None = None
        self.routes: dict[str, Route] = {}


class RouteTable:
    """The compiled matcher; one dictionary look-up per segment, no regular expressions, no backtracking."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._root = _Place()
        for route in routes:
            self._add(route)

    def match(self, method: str, path: str) -> Route | None:
        """Find the route of a request; `path` is raw and begins with a slash."""
        place = self._root
        for segment in path.split("/")[1:]:
            following = place.names.get(segment)
            if following is None:
                following = place.parameter
                if following is None or not segment:
                    return None
            place = following
        return place.routes.get(method)

    def _add(self, route: Route) -> None:
        place = self._root
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{"):
                if place.names:
                    raise RouteFileError(f"{segment} stands where other routes have a name")
                place.parameter = place.parameter or _Place()
                place = place.parameter
            else:
                if place.parameter:
                    raise RouteFileError(f"{segment} stands where other routes have a parameter")
                place = place.names.setdefault(segment, _Place())
        for method in route.methods:
            if method in place.routes:
                raise RouteFileError(f"{method} {route.path} is routed twice")
            place.routes[method] = route


def read_routes(file: Path = DEFAULT_FILE) -> RouteTable:
    """Read, check and compile the file; RouteFileError names the line and the route of the first mistake."""
    text = file.read_text(encoding="utf-8")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RouteFileError(f"{file.name}: {error}") from None
    entries = content.pop("route", None)
    if content or not isinstance(entries, list):
        raise RouteFileError(f"{file.name}: holds [[route]] tables and nothing else")
    # tomllib keeps no positions; the n-th table begins at the n-th header line.
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.split("#")[0].strip() == "[[route]]"]
    routes: list[Route] = []
    for entry, line in zip(entries, lines, strict=True):
        name = entry.get("operation") or entry.get("path") or "?"
        try:
            routes.append(_route(entry))
            RouteTable(routes[-1:])
        except RouteFileError as error:
            raise RouteFileError(f"{file.name} line {line}, route {name}: {error}") from None
    _check_operations(routes, lines, file.name)
    return _compile(routes, lines, file.name)


def _compile(routes: list[Route], lines: list[int], name: str) -> RouteTable:
    table = RouteTable(())
    for route, line in zip(routes, lines, strict=True):
        try:
            table._add(route)
        except RouteFileError as error:
            raise RouteFileError(f"{name} line {line}, route {route.operation}: {error}") from None
    table.routes = tuple(routes)
    return table


def _check_operations(routes: list[Route], lines: list[int], name: str) -> None:
    seen: dict[str, int] = {}
    for route, line in zip(routes, lines, strict=True):
        if route.operation in seen:
            raise RouteFileError(
                f"{name} line {line}, route {route.operation}: the operation stands already in line "
                f"{seen[route.operation]}"
            )
        seen[route.operation] = line


def _route(entry: dict[str, object]) -> Route:
    _check_shape(entry)
    methods = tuple(str(method) for method in _texts(entry, "methods"))
    scopes = frozenset(_texts(entry, "scopes"))
    public = bool(entry.get("public", False))
    route = Route(
        path=str(entry["path"]),
        methods=methods,
        service=str(entry["service"]),
        operation=str(entry["operation"]),
        scopes=scopes,
        assurance=_rank(str(entry.get("assurance", ""))),
        sensitive=bool(entry.get("sensitive", False)),
        body_limit=_whole(entry.get("body_limit", 0 if set(methods) <= {"GET", "HEAD"} else BODY_LIMIT_BYTES)),
        timeout_s=_seconds(entry.get("timeout_s", TIMEOUT_S)),
        public=public,
    )
    _check_meaning(route)
    return route


def _check_shape(entry: dict[str, object]) -> None:
    for name in _REQUIRED:
        if name not in entry:
            raise RouteFileError(f"{name} is missing")
    for name, value in entry.items():
        kind = _KINDS.get(name)
        if kind is None:
            raise RouteFileError(f"{name} is not a field of a route")
        # bool is an int to Python, not to the reader of the file.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):  # type: ignore[arg-type]
            raise RouteFileError(f"{name} is of the wrong type")


def _check_meaning(route: Route) -> None:
    if not _PATH.fullmatch(route.path) and route.path != "/":
        raise RouteFileError(f"path {route.path!r} is not made of /names and /{{parameters}}")
    if not route.methods or len(set(route.methods)) != len(route.methods) or set(route.methods) - set(METHODS):
        raise RouteFileError(f"methods must be some of {', '.join(METHODS)}, each once")
    if route.service not in SERVICES:
        raise RouteFileError(f"service must be one of {', '.join(SERVICES)}")
    if not _OPERATION.fullmatch(route.operation) or not route.operation.startswith(route.service + "."):
        raise RouteFileError(f"operation must be {route.service}.<verb>")
    for scope in route.scopes:
        if not _SCOPE.fullmatch(scope):
            raise RouteFileError(f"scope {scope!r} is not lower-case words with dots between them")
    if route.public and (route.scopes or route.assurance or route.sensitive):
        raise RouteFileError("a public route has no token, so no scopes, assurance or sensitive")
    if not route.public and not (route.scopes and route.assurance):
        raise RouteFileError("a route that is not public names its scopes and its assurance")


def _texts(entry: dict[str, object], name: str) -> list[str]:
    values = entry.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise RouteFileError(f"{name} must be a list of texts")
    return values


def _rank(assurance: str) -> int:
    if assurance not in ASSURANCE:
        raise RouteFileError(f"assurance must be one of {', '.join(ASSURANCE[1:])} or empty")
    return ASSURANCE.index(assurance)


def _whole(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise RouteFileError("body_limit is a number of bytes, 0 or more")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or not 0 < value <= TIMEOUT_MAX_S:
        raise RouteFileError(f"timeout_s is more than 0 and at most {TIMEOUT_MAX_S:.0f}")
    return float(value)
