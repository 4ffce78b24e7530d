"""Writes what the platform promises: `python tests/contracts/generate.py`; with `--check` it only names the drift.

Invariant: everything below GENERATED is exactly what the code says, byte for byte and the same on every run, so a
change of a promise is always a change in a review.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import event_schemas
import openapi
import pages
import yaml
from card_states import card_states_page
from services import described

from contracts.problems.catalogue import CATALOGUE
from gateway.routes import DEFAULT_FILE, read_routes

ROOT = Path(__file__).parents[2]
# Folders in which nothing else may lie.
GENERATED = ("contracts/openapi", "contracts/events")
# The gateway serves this folder from its root, so that `docs/problems.html` is /docs/problems. The try-it page in it
# is written by hand.
SERVED = "contracts/docs"


class _Plain(yaml.SafeDumper):
    """YAML without anchors: the same part twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def as_json(value: Any) -> str:
    """JSON for people and diffs."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def promises(documents: Mapping[str, openapi.Document]) -> dict[str, str]:
    """Every generated file by its path under the root; `documents` is the OpenAPI of each service."""
    events = event_schemas.promised()
    merged = as_json(openapi.merged(documents, read_routes(DEFAULT_FILE).routes))
    asyncapi = yaml.dump(event_schemas.asyncapi(events), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
    return {
        **{f"contracts/openapi/{name}.json": as_json(openapi.of_service(doc)) for name, doc in documents.items()},
        "contracts/openapi/onecard.json": merged,
        "contracts/asyncapi.yaml": asyncapi,
        **{
            f"contracts/events/{topic}.json": as_json(event_schemas.event_schema(topic, shape))
            for topic, shape in events.items()
        },
        "docs/card-states.md": card_states_page(),
        f"{SERVED}/openapi.json": merged,
        f"{SERVED}/docs/problems.json": as_json(pages.problems_json(CATALOGUE)),
        f"{SERVED}/docs/problems.html": pages.problems_page(CATALOGUE),
        f"{SERVED}/docs/events.json": as_json(pages.events_json(events)),
        f"{SERVED}/docs/events.html": pages.events_page(events),
    }


def drift(root: Path, files: Mapping[str, str]) -> list[str]:
    """What is missing, different or left over under `root`."""
    found = []
    for name, text in files.items():
        path = root / name
        if not path.exists():
            found.append(f"{name} is missing")
        elif path.read_text() != text:
            found.append(f"{name} is not what the code says")
    left = (path for folder in GENERATED for path in (root / folder).rglob("*") if path.is_file())
    found += [f"{name} is left over" for path in left if (name := path.relative_to(root).as_posix()) not in files]
    return sorted(found)


def write(root: Path, files: Mapping[str, str]) -> None:
    """Make the files under `root` say what the code says."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for sentence in drift(root, files):
        (root / sentence.removesuffix(" is left over")).unlink()


def main() -> int:
    """Write, or check and say how to mend it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="only name the drift; exit 1 when there is any")
    check = parser.parse_args().check
    try:
        files = promises(described())
    except ValueError as wrong:
        print(wrong)
        return 1
    if not check:
        write(ROOT, files)
        return 0
    found = drift(ROOT, files)
    for sentence in found:
        print(sentence)
    if found:
        print("Run `make contracts` and look at what it changes.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
