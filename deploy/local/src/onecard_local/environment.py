"""The environment of each process: `ONECARD_*` and the bare minimum, nothing else of the terminal's.

Invariant: what a process can read in its environment is written here; a variable of the person who typed `make run`
reaches it only if it is named in PASSED_ON.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.edges import EDGES
from onecard_local.cells import LOOPBACK, Cell
from onecard_local.databases import Passwords, app_of, owner_of, url_of
from onecard_local.ports import SERVICES

# Deliberately not PYTHONDONTWRITEBYTECODE: with it every process compiles its imports anew at each start.
PASSED_ON = ("HOME", "TMPDIR", "ONECARD_LOG_LEVEL", "ONECARD_CLOCK_OFFSET_S")


# The generated documentation, served by the gateway under the paths at which it lies there.
PAGES = Path(__file__).parents[4] / "contracts" / "docs"


def of_every_process(cell: Cell, process: str, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    environment = {name: inherited[name] for name in PASSED_ON if name in inherited}
    return environment | {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "ONECARD_ENV": "sandbox",
        "ONECARD_CELL": cell.code,
        "ONECARD_PUBLIC_URL": cell.public_url,
        "ONECARD_HOST": LOOPBACK,
        "ONECARD_HEALTH_HOST": LOOPBACK,
        "ONECARD_KEYS": str(cell.keys_of(process)),
    }


def of_service(cell: Cell, passwords: Passwords, service: str) -> dict[str, str]:
    url = url_of(cell, passwords, service, app_of(service))
    return of_every_process(cell, service) | {
        "ONECARD_PORT": str(cell.ports.service(service)),
        "ONECARD_HEALTH_PORT": str(cell.ports.service_health(service)),
        "ONECARD_DATABASE_URL": url,
        "ONECARD_DATABASE_DIRECT_URL": url,
        # A test may put a line of its own between the services and NATS.
        "ONECARD_NATS_URL": os.environ.get("ONECARD_NATS_THROUGH", cell.nats_url),
        "ONECARD_PEERS": peers_of(cell, service),
        "ONECARD_OUTSIDE": json.dumps(cell.outside),
    }


def of_migrations(cell: Cell, passwords: Passwords, services: Sequence[str]) -> dict[str, str]:
    """The owners' addresses, which the running services never see."""
    urls = {service: url_of(cell, passwords, service, owner_of(service)) for service in services}
    return of_every_process(cell, "migrations") | {"ONECARD_OWNER_URLS": json.dumps(urls)}


def of_gateway(cell: Cell) -> dict[str, str]:
    return of_every_process(cell, "gateway") | {
        "ONECARD_HOST": cell.listen,
        "ONECARD_PORT": str(cell.gateway_port),
        "ONECARD_HEALTH_PORT": str(cell.ports.gateway_health),
        "ONECARD_PEERS": peers_of(cell, "gateway"),
        "ONECARD_PAGES": str(PAGES),
    }


def of_ecard(cell: Cell) -> dict[str, str]:
    return of_every_process(cell, "ecard") | {
        "ONECARD_HOST": cell.listen,
        "ONECARD_PORT": str(cell.ecard_port),
        "ONECARD_HEALTH_PORT": str(cell.ports.ecard_health),
        "ONECARD_ECARD_URL": cell.ecard_url,
        "ONECARD_CLIENTS": str(cell.home / "clients"),
    }


def of_simulators(cell: Cell) -> dict[str, str]:
    return of_every_process(cell, "simulators") | {
        "ONECARD_HOST": cell.listen,
        "ONECARD_PORT": str(cell.ports.simulators),
        "ONECARD_HEALTH_PORT": str(cell.ports.simulators_health),
        "ONECARD_CLIENTS": str(cell.home / "clients"),
    }


def of_sandbox(cell: Cell) -> dict[str, str]:
    """For `python -m onecard_local.sandbox`, which uses the public API as any operator would."""
    return of_every_process(cell, "sandbox") | {
        "ONECARD_HOME": str(cell.home),
        "ONECARD_OPERATOR": str(cell.home / "operator.json"),
        "ONECARD_CLIENTS": str(cell.home / "clients"),
        "ONECARD_ECARD_URL": cell.ecard_url,
        "ONECARD_OUTSIDE": json.dumps(cell.outside),
    }


def peers_of(cell: Cell, caller: str) -> str:
    """The base URLs of the services that this one may call, as the table of edges says."""
    called = {edge.callee for edge in EDGES if edge.caller == caller}
    return json.dumps({service: cell.service_url(service) for service in SERVICES if service in called})
