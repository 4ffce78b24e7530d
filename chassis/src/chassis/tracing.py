"""The trace context (W3C Trace Context) of the work at hand, carried through HTTP and NATS.

It holds no business meaning: losing it loses a line in a picture, never a decision.
"""

import os
import re
from contextvars import ContextVar

_SHAPE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def new_traceparent() -> str:
    """Start a trace of our own."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"


def enter(received: str | None) -> str:
    """Continue the trace that was received, or start one; returns the traceparent that holds from here on."""
    if received and _SHAPE.fullmatch(received):
        version, trace, _, flags = received.split("-")
        ours = f"{version}-{trace}-{os.urandom(8).hex()}-{flags}"
    else:
        ours = new_traceparent()
    _current.set(ours)
    return ours


def current() -> str | None:
    """Return the traceparent of the work at hand, or None outside any."""
    return _current.get()
