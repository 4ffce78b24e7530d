"""The services as they describe themselves: `<service>_svc.app:describe()`, an app without its running gear.

Derived from what is there: a service whose package has no `app` yet promises nothing yet.
"""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI

from contracts.edges import SERVICES

INTERNAL = "/internal/"
"""Paths under this prefix are for other services and the gateway itself; all others are public API."""

METHODS = ("get", "put", "post", "delete", "head", "patch")


@dataclass(frozen=True, order=True, kw_only=True)
class Operation:
    """One way to ask something of a service."""

    service: str
    operation: str  # `card.read`
    method: str  # upper case
    path: str

    @property
    def is_internal(self) -> bool:
        """Whether only services may ask."""
        return self.path.startswith(INTERNAL)


def existing() -> tuple[str, ...]:
    """The services that have an app, in the order of the table of edges."""
    return tuple(name for name in SERVICES if find_spec(f"{name}_svc") and find_spec(f"{name}_svc.app"))


def described() -> dict[str, dict[str, Any]]:
    """The OpenAPI of each service that exists; AttributeError when an app does not describe itself."""
    documents: dict[str, dict[str, Any]] = {}
    for name in existing():
        app: FastAPI = import_module(f"{name}_svc.app").describe()
        documents[name] = app.openapi()
    return documents


def operations_of(service: str, document: dict[str, Any]) -> set[Operation]:
    """What the OpenAPI of a service offers."""
    return {
        Operation(service=service, operation=entry["operationId"], method=method.upper(), path=path)
        for path, entries in document["paths"].items()
        for method, entry in entries.items()
        if method in METHODS
    }
