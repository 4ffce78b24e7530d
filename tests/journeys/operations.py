"""Every operation of the OpenAPI documents, with a body that would be taken: what the journeys break, one thing a time.

Invariant: it is all read from the documents and the route file, so a new route is in it; a field whose valid value
cannot be told from its schema stops the tests with a sentence.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from contracts.edges import SERVICES
from gateway.routes import DEFAULT_FILE, read_routes

Schema = dict[str, Any]

FOLDER = Path(__file__).parents[2] / "contracts" / "openapi"
SOME_ID = str(UUID(int=0x0198F0C2_7D3A_7ABC_8DEF_0123456789AB))
OWN_FORM = ("/oauth/", "/.well-known/")
"""Paths that answer as their standards say, not in problem+json."""

BY_NAME = {
    # A right check character, in an area that no person is given, and not with this phone.
    "document_number": "330099198001010425",
    "name": "测试",
    "phone": "19900000000",
    "client_id": "sbx_nobody",
    "client_secret": "sbx_0123456789abcdef",
    "sector": "nobody",
    "kind": "channel",
    "area": "330100",
    "min_acr": "urn:onecard:acr:real-name",
    "audience": "https://nobody.example",
    "audiences": ["https://nobody.example"],
    "scopes": ["openid"],
    "subject_clients": ["sbx_nobody"],
    "redirect_uris": ["https://nobody.example/callback"],
    "purpose": "card production",
}
"""Valid values of fields that have a pattern, or that one does not guess."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of one service as it is promised."""

    id: str  # "card.apply"
    service: str
    method: str
    path: str
    body: Schema | None  # of its JSON body, every reference resolved
    keyed: bool  # needs an Idempotency-Key
    scopes: frozenset[str]  # any one of them opens it at the gateway
    routed: bool  # the gateway leads to it
    public: bool  # … without a token

    @property
    def fields(self) -> dict[str, Schema]:
        """The fields of the body."""
        return dict((self.body or {}).get("properties", {}))

    def url(self, value: str = SOME_ID) -> str:
        """The path with every parameter set to `value`."""
        return re.sub(r"\{[^}]+\}", value, self.path)

    def sample(self) -> dict[str, Any]:
        """A body that would be taken, with every field in it."""
        return {name: sample_of(name, schema) for name, schema in self.fields.items()}


def sample_of(name: str, schema: Schema) -> Any:
    """A valid value of one field; LookupError asks for one in BY_NAME."""
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            return sample_of(name, choice)
    if "enum" in schema and name not in BY_NAME:
        return schema["enum"][0]
    match schema.get("type"):
        case "string" if schema.get("format") == "uuid":
            return SOME_ID
        case "string" if name == "code" and "pattern" in schema:
            return "000000"
        case "string" | "array" if name in BY_NAME:
            return BY_NAME[name]
        case "string" if "pattern" not in schema:
            return "some text"
        case "integer":
            return int(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))
        case "array":
            return [sample_of(name, schema["items"])]
        case "object":
            return {inner: sample_of(f"{name}.{inner}", s) for inner, s in schema.get("properties", {}).items()}
    raise LookupError(f"tests/journeys/operations.py: BY_NAME needs a valid value of {name!r}: {schema}")


def every_operation() -> tuple[Operation, ...]:
    """Every operation of every service, those for other services too."""
    return tuple(operation for service in SERVICES for operation in _of_service(service))


def _of_service(service: str) -> Iterator[Operation]:
    document = json.loads((FOLDER / f"{service}.json").read_text("utf-8"))
    routes = {route.operation: route for route in read_routes(DEFAULT_FILE).routes}
    for path, entries in document["paths"].items():
        for method, promised in entries.items():
            content = promised.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            route = routes.get(promised["operationId"])
            yield Operation(
                id=promised["operationId"],
                service=service,
                method=method.upper(),
                path=path,
                body=None if schema is None else _resolved(schema, document),
                keyed=any(p["name"] == "Idempotency-Key" for p in promised.get("parameters", ())),
                scopes=route.scopes if route else frozenset(),
                routed=route is not None,
                public=route is not None and route.public,
            )


def _resolved(part: Any, document: Schema) -> Any:
    if isinstance(part, dict):
        if "$ref" in part:
            return _resolved(document["components"]["schemas"][part["$ref"].rpartition("/")[2]], document)
        return {name: _resolved(value, document) for name, value in part.items()}
    if isinstance(part, list):
        return [_resolved(value, document) for value in part]
    return part
