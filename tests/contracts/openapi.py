"""OpenAPI 3.1: one document per service as it is, and one merged of what the gateway lets in.

Protects outsiders: the merged document holds exactly the routes of the gateway's route file, each with the scopes
and the assurance that the gateway asks for, so nothing internal is promised to anybody.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from gateway.routes import ASSURANCE, Route

Document = dict[str, Any]

PROBLEM = "application/problem+json"
SCOPES = {
    "openid": "Know who signed in, by an identifier of this client alone",
    "profile": "See the person's name, masked",
    "card": "See the person's card, apply for it, enable it",
    "card.code": "Show the code of the person's card",
    "card.loss": "Report the card lost and take the report back",
    "use": "See where the card was used",
    "payments": "See accounts and payments",
    "terminal": "Take card codes at a venue",
    "clients.manage": "Register and suspend clients",
    "policies.manage": "Say which client may exchange whose tokens",
    "venues.manage": "Open venues and place terminals",
    "cards.produce": "Have cards made",
    "cards.handover": "Hand a card to its holder at a counter",
    "journal.read": "Read journals, and what was set aside",
    "journal.manage": "Try again what was set aside",
    "ledger.read": "Read the invariants of the ledger",
    "introspect": "Ask whether a token is active",
}
SIGN_IN = "onecard"
INTERNAL_TOKEN = "internalToken"

ABOUT = (
    "One Card of a province: a person, a card, its code at a gate, and the money behind it. Every refusal is "
    "problem+json with a stable `code` (see /docs/problems). POSTs that create or move something take an "
    "`Idempotency-Key`: the same key and body have one effect, however often they are sent."
)


def of_service(document: Document) -> Document:
    """The OpenAPI of a service as its callers behind the gateway see it."""
    own = deepcopy(document)
    for operation in operations(own):
        own_answers(operation)
    schemes = {INTERNAL_TOKEN: {"type": "apiKey", "in": "header", "name": "Onecard-Token"}}
    own.setdefault("components", {})["securitySchemes"] = schemes
    own["security"] = [{INTERNAL_TOKEN: []}]
    return own


def operations(document: Document) -> Iterator[Document]:
    """Every operation of a document."""
    for item in document["paths"].values():
        yield from item.values()


def own_answers(operation: Document) -> None:
    """A refusal is problem+json and nothing else; FastAPI also lists it as JSON."""
    for answer in operation["responses"].values():
        content = answer.get("content", {})
        if PROBLEM in content and "application/json" in content:
            content[PROBLEM] = content.pop("application/json")


def merged(documents: Mapping[str, Document], routes: tuple[Route, ...]) -> Document:
    """What the gateway lets in, from every service that exists."""
    unknown = {scope for route in routes for scope in route.scopes} - set(SCOPES)
    if unknown:
        raise ValueError(f"routes.toml names scopes that nothing explains: {', '.join(sorted(unknown))}")
    renamed = {service: unique_schemas(service, documents) for service in documents}
    paths: dict[str, Document] = {}
    schemas: Document = {}
    for route in routes:
        if route.service not in renamed:
            continue
        document = renamed[route.service]
        for method in route.methods:
            operation = document["paths"].get(route.path, {}).get(method.lower())
            if operation is None:
                raise ValueError(f"routes.toml: {route.service}-svc does not offer {method} {route.path}")
            paths.setdefault(route.path, {})[method.lower()] = through_the_gateway(operation, route)
            needed_schemas(operation, document, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "One Card", "version": "1", "description": ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": service} for service in documents],
        "paths": paths,
        "components": {
            "schemas": {name: schemas[name] for name in sorted(schemas)},
            "securitySchemes": {SIGN_IN: sign_in()},
        },
    }


def sign_in() -> Document:
    """The OAuth flows that the gateway's tokens come from."""
    token = {"tokenUrl": "/oauth/token", "scopes": SCOPES}
    code = {"authorizationUrl": "/oauth/authorize", **token}
    return {"type": "oauth2", "flows": {"authorizationCode": code, "clientCredentials": token}}


def through_the_gateway(operation: Document, route: Route) -> Document:
    """The operation with what the gateway asks for; any one of the scopes is enough."""
    outside = {**operation, "tags": [route.service]}
    own_answers(outside)
    outside["security"] = [{SIGN_IN: [scope]} for scope in sorted(route.scopes)]
    if not route.public:
        outside["x-assurance"] = ASSURANCE[route.assurance]
    if route.sensitive:
        outside["x-sensitive"] = True
    return outside


def unique_schemas(service: str, documents: Mapping[str, Document]) -> Document:
    """The document, its schemas renamed where another service means something else by the same name."""
    own = deepcopy(documents[service])
    schemas = own.get("components", {}).get("schemas", {})
    others = [d.get("components", {}).get("schemas", {}) for name, d in documents.items() if name != service]
    clashing = {name for name in schemas if any(name in o and o[name] != schemas[name] for o in others)}
    text = json.dumps(own)
    for name in sorted(clashing):
        text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{service.title()}{name}"')
    own = json.loads(text)
    if clashing:
        renamed = own["components"]["schemas"]
        own["components"]["schemas"] = {
            (f"{service.title()}{name}" if name in clashing else name): schema for name, schema in renamed.items()
        }
    return dict(own)


def needed_schemas(part: Any, document: Document, found: Document) -> None:
    """Collect into `found` every schema that `part` leads to."""
    if isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str) and (name := reference.rpartition("/")[2]) not in found:
            found[name] = document["components"]["schemas"][name]
            needed_schemas(found[name], document, found)
        for value in part.values():
            needed_schemas(value, document, found)
    elif isinstance(part, list):
        for value in part:
            needed_schemas(value, document, found)
