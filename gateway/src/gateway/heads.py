"""Reads the head of a request once: what goes on to the service, and what the gateway itself needs to know.

Invariant: no hop-by-hop header, no `Onecard-*` header and no claim about where the request came from passes.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from chassis import tracing
from gateway.refusals import BrokenRequest

_DROPPED: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
        b"host",
        b"content-length",
        b"forwarded",
        b"via",
        b"x-real-ip",
        b"x-request-id",
        b"traceparent",
        b"authorization",
        b"cookie",
    )
)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9-]{8,64}")


@dataclass(slots=True)
class Head:
    """The head of one request."""

    method: str
    path: str  # raw, as it came
    target: bytes  # path and query
    passed: list[tuple[bytes, bytes]]  # headers for the service
    authorization: bytes | None
    cookie: bytes | None
    length: int | None
    chunked: bool
    traceparent: str
    request_id: str
    network: str  # address that the request came from

    @property
    def has_body(self) -> bool:
        """Whether bytes follow the head."""
        return self.chunked or bool(self.length)


def read_head(scope: dict[str, Any], proxies: int = 0) -> Head:
    """Read the head; BrokenRequest when something that may stand once stands twice."""
    passed: list[tuple[bytes, bytes]] = []
    noted: dict[bytes, bytes] = {}
    forwarded: list[bytes] = []
    for header in scope["headers"]:
        name, value = header
        if name in _DROPPED:
            if name in noted and name != b"cookie" and name != b"via":
                raise BrokenRequest(f"The header {name.decode()} stands twice.")
            noted[name] = value
        elif name.startswith((b"onecard-", b"x-forwarded-")):
            if name == b"x-forwarded-for":
                forwarded.append(value)
        else:
            passed.append(header)
    if b"connection" in noted:
        passed = _without_nominated(passed, noted[b"connection"])
    query = scope["query_string"]
    raw_path: bytes = scope["raw_path"]
    length = noted.get(b"content-length")
    traceparent = noted.get(b"traceparent")
    given_id = noted.get(b"x-request-id")
    ours = tracing.enter(traceparent.decode("latin-1") if traceparent else None)
    return Head(
        method=scope["method"],
        path=raw_path.decode("ascii"),
        target=raw_path + b"?" + query if query else raw_path,
        passed=passed,
        authorization=noted.get(b"authorization"),
        cookie=noted.get(b"cookie"),
        length=int(length) if length is not None else None,
        chunked=b"transfer-encoding" in noted,
        traceparent=ours,
        # Our own span is new for every request, so it names the request too.
        request_id=given_id.decode() if given_id and _REQUEST_ID.fullmatch(given_id) else ours[36:52],
        network=_network(scope, forwarded, proxies),
    )


def _without_nominated(passed: list[tuple[bytes, bytes]], connection: bytes) -> list[tuple[bytes, bytes]]:
    """Drop what `Connection` names as meant for this hop only (RFC 9110 section 7.6.1)."""
    nominated = {token.strip().lower() for token in connection.split(b",")}
    return [header for header in passed if header[0] not in nominated]


def _network(scope: dict[str, Any], forwarded: list[bytes], proxies: int) -> str:
    """Return the address of the caller; behind our own proxies, what the outermost of them wrote down."""
    if proxies and forwarded:
        hops = b",".join(forwarded).split(b",")
        return hops[-min(proxies, len(hops))].strip().decode("latin-1")[:64]
    client = scope["client"]
    return str(client[0]) if client else "unknown"
