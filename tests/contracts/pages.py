"""The error catalogue and the event catalogue as pages and as JSON, for the folder that the gateway serves.

Pages work without script and without anything from elsewhere; every anchor is the stable code or topic.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from event_schemas import Schema, data_schema, sentence
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from contracts.edges import FOLLOWS
from contracts.events.envelope import Event
from contracts.problems.problem import Problem

TEMPLATES = Path(__file__).with_name("templates")
WHO_ACTS = {
    "citizen": "the citizen",
    "caller": "the calling program",
    "counter": "staff at a counter",
    "operator": "the operator",
    "nobody": "nobody: it passes",
}


def render(template: str, **values: Any) -> str:
    """Fill a template; an unknown name in it is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)


def problems_json(catalogue: Mapping[str, Problem]) -> list[dict[str, Any]]:
    """The error catalogue, by code."""
    return [asdict(catalogue[code]) for code in sorted(catalogue)]


def problems_page(catalogue: Mapping[str, Problem]) -> str:
    """The error catalogue to read; `/docs/problems#<code>` is the `type` of every refusal."""
    return render("problems.html.j2", problems=[catalogue[code] for code in sorted(catalogue)], who_acts=WHO_ACTS)


def followers(topic: str) -> list[str]:
    """The services that follow the journal in which the topic appears."""
    source = topic.partition(".")[0]
    return [follower for follower, sources in FOLLOWS.items() if source in sources]


def events_json(events: Mapping[str, type[Event]]) -> list[dict[str, Any]]:
    """The event catalogue, by topic."""
    return [
        {
            "topic": topic,
            "name": shape.__name__,
            "says": sentence(shape),
            "key": shape.key_field,
            "followed_by": followers(topic),
            "fields": fields(data_schema(shape)),
        }
        for topic, shape in events.items()
    ]


def events_page(events: Mapping[str, type[Event]]) -> str:
    """The event catalogue to read."""
    return render("events.html.j2", events=events_json(events))


def fields(schema: Schema) -> list[dict[str, str]]:
    """Name and type of each field of `data`, in words."""
    definitions = schema.get("$defs", {})
    return [{"name": name, "type": in_words(part, definitions)} for name, part in schema["properties"].items()]


def in_words(part: Schema, definitions: Schema) -> str:
    """A schema as a reader would say it: `uuid`, `integer >= 1`, `a | b`, `list of text`."""
    if "$ref" in part:
        return in_words(definitions[part["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in part:
        return " or ".join(in_words(one, definitions) for one in part["anyOf"])
    if "enum" in part:
        return " | ".join(str(value) for value in part["enum"])
    if "const" in part:
        return str(part["const"])
    if part.get("type") == "array":
        return f"list of {in_words(part.get('items', {}), definitions)}"
    kind = str(part.get("format") or part.get("type", "any"))
    words = "text" if kind == "string" else kind
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "pattern": "matching"}
    return " ".join([words, *(f"{sign} {part[name]}" for name, sign in bounds.items() if name in part)])
