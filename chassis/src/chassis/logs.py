"""JSON logs on standard output, one line each, with personal data masked.

Invariant: no document number, phone or token leaves the process in a log line, whatever a caller logs.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from chassis import tracing

_PERSONAL = re.compile(r"(?<![0-9])(?:[1-9][0-9]{16}[0-9Xx]|1[3-9][0-9]{9}|(?:00)?861[3-9][0-9]{9})(?![0-9Xx])")
_BEARER = re.compile(r"(?i)\b(bearer\s+|eyJ)[A-Za-z0-9._~+/-]{8,}=*")
_NEVER = frozenset(
    {"authorization", "password", "secret", "client_secret", "token", "code", "document_number", "phone"}
)


def masked(value: Any) -> Any:
    """Return `value` with everything that looks like a citizen number, a phone or a token covered."""
    if isinstance(value, str):
        return _BEARER.sub("***", _PERSONAL.sub(lambda found: found[0][:3] + "***" + found[0][-2:], value))
    if isinstance(value, dict):
        return {key: "***" if str(key).lower() in _NEVER else masked(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return masked(str(value))  # an exception, a record: what it says of itself is text


def _mask(_logger: Any, _name: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in list(entry):
        entry[key] = "***" if key.lower() in _NEVER else masked(entry[key])
    return entry


def _trace(_logger: Any, _name: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    traceparent = tracing.current()
    if traceparent:
        entry["trace"] = traceparent.split("-")[1]
    return entry


def configure(service: str, level: str = "info") -> None:
    """Send every log of this process, ours and the libraries', through one masked JSON line."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _trace,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            lambda _l, _n, entry: {"service": service, **entry},
            _mask,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("uvicorn.access").disabled = True
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
