"""What is generated is what the code says, the same on every run, and well-formed by its own standard.

No tool from elsewhere is asked: the structure of OpenAPI 3.1 is checked by FastAPI's own models of it, schemas by
the JSON Schema meta-schema, AsyncAPI 3 by the schema below, which is as much of it as we use.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import openapi
import pytest
import yaml
from event_schemas import event_schema, promised
from fastapi import FastAPI
from fastapi.openapi.models import OpenAPI
from generate import drift, promises, write
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import BaseModel, TypeAdapter
from services import described

from contracts.events.envelope import Event, encode
from gateway.pages import read_pages
from gateway.routes import Route
from onecard_local.cells import declare_cell
from onecard_local.environment import of_gateway

REFERENCE_ONLY = {
    "type": "object",
    "required": ["$ref"],
    "additionalProperties": False,
    "properties": {"$ref": {"type": "string", "pattern": "^#/"}},
}
ASYNCAPI = {
    "type": "object",
    "required": ["asyncapi", "info", "channels", "operations", "components"],
    "additionalProperties": False,
    "properties": {
        "asyncapi": {"const": "3.0.0"},
        "info": {"type": "object", "required": ["title", "version"]},
        "defaultContentType": {"type": "string"},
        "channels": {
            "additionalProperties": {
                "type": "object",
                "required": ["address", "messages"],
                "properties": {"messages": {"additionalProperties": REFERENCE_ONLY, "minProperties": 1}},
            }
        },
        "operations": {
            "additionalProperties": {
                "type": "object",
                "required": ["action", "channel"],
                "properties": {"action": {"enum": ["send", "receive"]}, "channel": REFERENCE_ONLY},
            }
        },
        "components": {
            "type": "object",
            "required": ["messages", "schemas"],
            "properties": {"messages": {"additionalProperties": {"type": "object", "required": ["name", "payload"]}}},
        },
    },
}


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """Everything that is generated, by path."""
    return promises(described())


def references(part: Any) -> Iterator[str]:
    """Every `$ref` below a part of a document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def dangling(document: Any) -> list[str]:
    """References that lead nowhere in the document."""
    missing = []
    for reference in references(document):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(place, dict) else None
        if place is None:
            missing.append(reference)
    return missing


def faults(document: dict[str, Any]) -> list[str]:
    """What is wrong with an OpenAPI document."""
    OpenAPI.model_validate(document)
    found = [f"{reference} leads nowhere" for reference in dangling(document)]
    seen: set[str] = set()
    schemes = document["components"]["securitySchemes"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            name = operation["operationId"]
            if name in seen:
                found.append(f"{name} stands twice")
            seen.add(name)
            declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            if declared != set(re.findall(r"\{([^}]+)\}", path)):
                found.append(f"{method} {path}: the path's parameters are not those declared")
            for way in operation.get("security", []):
                found += [f"{name}: no such security scheme {scheme}" for scheme in way if scheme not in schemes]
    for schema in document["components"].get("schemas", {}).values():
        Draft202012Validator.check_schema(schema)
    return found


def test_what_was_just_written_has_not_drifted(tmp_path: Path, files: dict[str, str]) -> None:
    """On a copy: whether the repository itself has drifted is what `make check` asks the program."""
    write(tmp_path, files)
    assert drift(tmp_path, files) == []


@pytest.mark.parametrize("harm", ["changed", "missing", "left over"])
def test_drift_is_named(tmp_path: Path, files: dict[str, str], harm: str) -> None:
    write(tmp_path, files)
    victim = tmp_path / "contracts/openapi/onecard.json"
    if harm == "changed":
        victim.write_text(victim.read_text().replace("One Card", "Two Cards"))
    elif harm == "missing":
        victim.unlink()
    else:
        (victim.parent / "tax.json").write_text("{}")
    assert len(drift(tmp_path, files)) == 1
    write(tmp_path, files)
    assert drift(tmp_path, files) == []


def test_the_order_of_hashes_changes_nothing(files: dict[str, str]) -> None:
    """Another process, another hash seed: the same bytes."""
    code = "import json, generate; print(json.dumps(generate.promises(generate.described())))"
    here = Path(__file__).parent
    command = [sys.executable, "-c", code]
    other = subprocess.run(
        command,
        cwd=here,
        env={"PYTHONHASHSEED": "7", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(other.stdout) == files


def test_every_openapi_document_is_well_formed(files: dict[str, str]) -> None:
    documents = [json.loads(text) for name, text in files.items() if name.startswith("contracts/openapi/")]
    assert documents
    for document in documents:
        assert document["openapi"].startswith("3.1.")
        assert faults(document) == []


def test_the_asyncapi_document_is_well_formed(files: dict[str, str]) -> None:
    document = yaml.safe_load(files["contracts/asyncapi.yaml"])
    Draft202012Validator(ASYNCAPI).validate(document)
    assert dangling(document) == []
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    names = {message["name"] for message in document["components"]["messages"].values()}
    assert names == set(promised())


VALUES: dict[str, Any] = {"uuid": "01936b2e-7c00-7000-8000-000000000001", "date-time": "2026-11-24T08:00:00Z"}
PATTERNS = {r"^[0-9]{6}$": "330000", r"^[0-9]{4}-[0-9]{2}$": "1950-02"}


def filled(schema: dict[str, Any]) -> Any:
    """A value that the schema allows."""
    if "anyOf" in schema:
        return filled(schema["anyOf"][0])
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema["type"]
    if kind == "string":
        return VALUES.get(schema.get("format", ""), PATTERNS.get(schema.get("pattern", ""), "text"))
    if kind == "integer":
        return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    if kind == "array":
        return [filled(schema["items"])]
    if kind == "boolean":
        return True
    return {name: filled(part) for name, part in schema.get("properties", {}).items()}


@pytest.mark.parametrize(("topic", "shape"), promised().items(), ids=list(promised()))
def test_the_bytes_of_an_event_are_what_its_schema_says(topic: str, shape: type[Event]) -> None:
    schema = event_schema(topic, shape)
    Draft202012Validator.check_schema(schema)
    event = TypeAdapter(shape).validate_python(filled(schema["properties"]["data"]))
    body = encode(event, event_id=UUID(int=1), source=f"/cells/330000/{topic.partition('.')[0]}-svc", time=NOON)
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    validator.validate(json.loads(body))
    # The schema is as strict as the class: another field, or another topic, is not this event.
    with_more = json.loads(body)
    with_more["data"]["name"] = "somebody"
    assert not validator.is_valid(with_more)
    assert not validator.is_valid(json.loads(body) | {"type": "card.card.forgotten.v1"})


NOON = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def test_pages_load_nothing_from_elsewhere(files: dict[str, str]) -> None:
    served = Path(__file__).parents[2] / "contracts/docs"
    texts = {path.name: path.read_text() for path in served.rglob("*") if path.suffix in (".html", ".js", ".css")}
    texts |= {name: text for name, text in files.items() if name.endswith(".html")}
    assert {"index.html", "try.js", "style.css"} <= set(texts)
    for name, text in texts.items():
        assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", text), name
        assert " style=" not in text, name
        assert "<script>" not in text, name
        assert not re.search(r"\son[a-z]+=", text), name


def test_a_cell_serves_the_pages_and_nothing_internal(tmp_path: Path) -> None:
    pages = read_pages(Path(of_gateway(declare_cell(tmp_path))["ONECARD_PAGES"]))
    assert {"/docs", "/docs/problems", "/docs/events", "/openapi.json"} <= set(pages)
    assert [path for path, page in pages.items() if b'"/internal/' in page.body] == []


def test_every_code_and_topic_has_an_anchor(files: dict[str, str]) -> None:
    for kind, key in (("problems", "code"), ("events", "topic")):
        page, entries = files[f"contracts/docs/docs/{kind}.html"], json.loads(files[f"contracts/docs/docs/{kind}.json"])
        assert entries
        for entry in entries:
            assert f'id="{entry[key]}"' in page


# From here on: the merging of services, on two invented ones.


class Shown(BaseModel):
    """What the first service shows."""

    inner: int


def invented(service: str, shape: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI of a service with a public, a guarded and an internal route."""
    app = FastAPI(title=service, version="1")
    problem = {"4XX": {"model": Shown, "content": {openapi.PROBLEM: {}}}}
    for kind in ("open", "guarded"):
        app.add_api_route(
            f"/v1/{service}-{kind}/{{key}}",
            lambda key: None,
            response_model=shape,
            operation_id=f"{service}.{kind}",
            responses=problem,  # type: ignore[arg-type]  # FastAPI's own type is invariant
        )
    app.add_api_route(f"/internal/{service}", lambda: None, operation_id=f"{service}.internal")
    return app.openapi()


def routed(service: str, kind: str, *scopes: str) -> Route:
    """A line of a route file."""
    return Route(
        path=f"/v1/{service}-{kind}/{{key}}",
        methods=("GET",),
        service=service,
        operation=f"{service}.{kind}",
        scopes=frozenset(scopes),
        assurance=3 if scopes else 0,
        sensitive=bool(scopes),
        body_limit=0,
        timeout_s=5,
        public=not scopes,
    )


def test_the_merged_document_holds_the_routed_operations_and_no_other() -> None:
    documents = {name: invented(name, Shown) for name in ("card", "payment")}
    routes = (routed("card", "open"), routed("payment", "guarded", "payments", "use"), routed("scenario", "open"))
    document = openapi.merged(documents, routes)
    assert faults(document) == []
    assert set(document["paths"]) == {"/v1/card-open/{key}", "/v1/payment-guarded/{key}"}
    guarded = document["paths"]["/v1/payment-guarded/{key}"]["get"]
    assert guarded["security"] == [{"onecard": ["payments"]}, {"onecard": ["use"]}]
    assert guarded["x-assurance"] == "real-person"
    assert document["paths"]["/v1/card-open/{key}"]["get"]["security"] == []


def test_a_refusal_is_described_as_problem_json_alone() -> None:
    document = openapi.of_service(invented("card", Shown))
    content = document["paths"]["/v1/card-open/{key}"]["get"]["responses"]["4XX"]["content"]
    assert list(content) == [openapi.PROBLEM]
    assert content[openapi.PROBLEM]["schema"]["$ref"].endswith("/Shown")


def test_two_services_may_mean_different_things_by_one_name() -> None:
    class Other(BaseModel):
        outer: str

    Other.__name__ = Other.__qualname__ = "Shown"
    documents = {"card": invented("card", Shown), "payment": invented("payment", Other)}
    documents["payment"]["components"]["schemas"]["Shown"] = Other.model_json_schema()
    document = openapi.merged(documents, (routed("card", "open"), routed("payment", "open")))
    assert faults(document) == []
    schemas = document["components"]["schemas"]
    assert "inner" in schemas["CardShown"]["properties"]
    assert "outer" in schemas["PaymentShown"]["properties"]


def test_a_route_that_no_service_offers_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not offer GET /v1/card-shut"):
        openapi.merged({"card": invented("card", Shown)}, (routed("card", "shut"),))


def test_a_scope_that_nothing_explains_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing explains: everything"):
        openapi.merged({}, (routed("card", "guarded", "everything"),))


@pytest.mark.parametrize(
    "harm",
    [
        lambda d: d["paths"]["/v1/card-open/{key}"]["get"].update(parameters=[]),
        lambda d: d["paths"]["/v1/card-open/{key}"]["get"].update(operationId="card.internal"),
        lambda d: d["paths"]["/v1/card-open/{key}"]["get"].update(security=[{"nothing": []}]),
        lambda d: d["components"]["schemas"].pop("Shown"),
    ],
    ids=["parameter not declared", "operation id twice", "unknown scheme", "schema gone"],
)
def test_a_planted_fault_in_an_openapi_document_is_found(harm: Any) -> None:
    document = openapi.of_service(invented("card", Shown))
    assert faults(document) == []
    harm(document)
    assert faults(document) != []
