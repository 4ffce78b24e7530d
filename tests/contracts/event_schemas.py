"""The events as outsiders read them: a JSON Schema each, and all of them as AsyncAPI 3.

Protects consumers: a schema describes the exact bytes of the journal (CloudEvents 1.0), generated from the classes
that encode them.
"""

import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import contracts.events
from contracts.edges import FOLLOWS
from contracts.events.envelope import Event

TOPIC = re.compile(r"(?P<service>[a-z]+)\.[a-z_]+\.[a-z_]+\.v[1-9][0-9]*")
SCHEMA = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def promised() -> dict[str, type[Event]]:
    """Every event by its topic; ValueError for a topic that is malformed, stands twice or is somebody else's."""
    for module in pkgutil.walk_packages(contracts.events.__path__, "contracts.events."):
        import_module(module.name)
    events: dict[str, type[Event]] = {}
    for shape in sorted(subclasses(Event), key=lambda shape: (shape.__module__, shape.__name__)):
        topic: str | None = shape.__dict__.get("topic")
        if topic is None or not shape.__module__.startswith("contracts.events."):
            continue
        match = TOPIC.fullmatch(topic)
        if match is None or match["service"] not in FOLLOWS:
            raise ValueError(f"{shape.__name__}: {topic} is not <service>.<aggregate>.<event>.v<n>")
        if topic in events:
            raise ValueError(f"{topic} is both {events[topic].__name__} and {shape.__name__}")
        events[topic] = shape
    return dict(sorted(events.items()))


def subclasses(shape: type[Event]) -> Iterator[type[Event]]:
    """All classes below `shape`."""
    for child in shape.__subclasses__():
        yield child
        yield from subclasses(child)


def sentence(shape: type[Event]) -> str:
    """What the event says, in the words of its docstring."""
    return inspect.cleandoc(shape.__doc__ or "")


def data_schema(shape: type[Event]) -> Schema:
    """The schema of `data`, its definitions beside it under `$defs`."""
    return shape.model_json_schema(mode="serialization", ref_template="#/$defs/{model}")


def event_schema(topic: str, shape: type[Event]) -> Schema:
    """The schema of the whole CloudEvent, as a document of its own."""
    data = data_schema(shape)
    definitions = data.pop("$defs", {})
    schema = {"$schema": SCHEMA, "$id": f"urn:onecard:event:{topic}", **envelope_schema(topic, shape, data)}
    return schema | ({"$defs": definitions} if definitions else {})


def envelope_schema(topic: str, shape: type[Event], data: Schema) -> Schema:
    """CloudEvents 1.0 in its JSON format, with this `data`."""
    service = topic.partition(".")[0]
    text = {"type": "string"}
    return {
        "title": shape.__name__,
        "description": sentence(shape),
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"],
        "additionalProperties": False,
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {**text, "format": "uuid"},
            "source": {**text, "pattern": rf"^/cells/[0-9]{{6}}/{service}-svc$"},
            "type": {"const": topic},
            "subject": {**text, "description": f"The aggregate's id: `{shape.key_field}` of the data."},
            "time": {**text, "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "traceparent": {**text, "description": "W3C Trace Context."},
            "data": data,
        },
    }


def asyncapi(events: Mapping[str, type[Event]]) -> Schema:
    """AsyncAPI 3: one channel per journal, one message per topic, one operation per follower."""
    sources = sorted({topic.partition(".")[0] for topic in events})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "One Card: events between the services of a cell",
            "version": "1",
            "description": (
                "Events travel inside the signed, hash-chained blocks of a service's journal over core NATS. What "
                "is lost on the way is read again from `journal.<service>.read`."
            ),
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {source: channel(source, events) for source in sources},
        "operations": {
            **{f"{source}_seals": operation("send", source) for source in sources},
            **{
                f"{follower}_follows_{source}": operation("receive", source)
                for follower, followed in sorted(FOLLOWS.items())
                for source in followed
                if source in sources
            },
        },
        "components": {
            "messages": {shape.__name__: message(topic, shape) for topic, shape in events.items()},
            "schemas": {shape.__name__: inlined(data_schema(shape)) for shape in events.values()},
        },
    }


def channel(source: str, events: Mapping[str, type[Event]]) -> Schema:
    """The journal of one service."""
    own = [shape.__name__ for topic, shape in events.items() if topic.partition(".")[0] == source]
    return {
        "address": f"journal.{source}.block",
        "description": f"The journal of {source}-svc.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in own},
    }


def operation(action: str, source: str) -> Schema:
    """Somebody sends or receives on the channel of a source."""
    return {"action": action, "channel": {"$ref": f"#/channels/{source}"}}


def message(topic: str, shape: type[Event]) -> Schema:
    """One event as a message."""
    data = {"$ref": f"#/components/schemas/{shape.__name__}"}
    return {
        "name": topic,
        "title": shape.__name__,
        "summary": sentence(shape).partition("\n")[0],
        "payload": envelope_schema(topic, shape, data),
    }


def inlined(schema: Schema) -> Schema:
    """The schema with its `$defs` put in place: in AsyncAPI `#/$defs` would point at the whole document."""
    definitions: Schema = schema.pop("$defs", {})

    def put(part: Any) -> Any:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                return put(definitions[part["$ref"].rpartition("/")[2]])
            return {name: put(value) for name, value in part.items()}
        return [put(value) for value in part] if isinstance(part, list) else part

    return dict(put(schema))
