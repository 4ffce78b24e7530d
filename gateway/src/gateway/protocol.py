"""The strict edge: uvicorn's httptools protocol, narrowed to requests that can be read in one way only.

Invariant: a request that two parsers could take differently is answered with one 4xx or a close, its connection
carries nothing after it, and a request whose head is not whole and clean never reaches the app.
"""

import asyncio
import re
from functools import partial
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from chassis.errors import Refusal, TooLarge
from gateway.problems import problem_answer
from gateway.refusals import BrokenRequest
from gateway.settings import Limits

TARGET_MAX_BYTES: Final = 4_096
HEADERS_MAX: Final = 64
HEAD_MAX_BYTES: Final = 24_576
PIPELINE_MAX: Final = 8

# RFC 3986 pchar, visible ASCII only. Encoded slash, backslash, dot, percent and control characters are refused:
# they are read one way by a proxy and another by the application behind it.
_PATH = re.compile(rb"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%(?!2[EeFf5]|5[Cc]|[01][0-9A-Fa-f]|7[Ff])[0-9A-Fa-f]{2})*")
_QUERY = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?\[\]|-]|%(?!0[0-9A-Fa-f]|7[Ff])[0-9A-Fa-f]{2})*")
_ODD_SEGMENT = re.compile(rb"//|/\.\.?(?:/|$)")
_NAME = re.compile(rb"[A-Za-z0-9-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_HOST = re.compile(rb"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


class EdgeProtocol(HttpToolsProtocol):
    """One client's connection. `limits` and `public_url` are set by `edge_protocol`."""

    limits: Limits
    public_url: str

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn lets bytes after "connection: close" through; here they end the connection.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=False)
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._in_head = False
        self._in_body = False
        self._head_bytes = 0
        self._problem: Refusal | None = None
        self._over = False
        self._draining = False
        self._running: Any = None  # the cycle whose answer is next; later ones wait in the pipeline

    # the connection's life

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin the deadline of the first request; a full house closes at once."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._over = True
            transport.abort()
            return
        self._set_deadline(self.limits.head_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop every clock."""
        self._over = True
        self._set_deadline(0)
        self._set_write_deadline(False)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; the clock runs while a request is half here and only then."""
        if self._over:
            return
        self._unset_keepalive_if_required()
        if not self._in_body:
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end(BrokenRequest("This address does not upgrade connections."))
            return
        except httptools.HttpParserError:
            self._end(self._problem or BrokenRequest())
            return
        if self._in_head and self._head_bytes > HEAD_MAX_BYTES:
            self._end(TooLarge("The head of the request is too large."))
        elif self._in_head or self._in_body:
            if self._deadline is None:
                self._set_deadline(self.limits.head_timeout_s if self._in_head else self.limits.body_timeout_s)
        elif self._deadline is not None:
            self._set_deadline(0)

    def shutdown(self) -> None:
        """Finish what is under way, then close; an idle client may have sent the next request just now."""
        self._draining = True
        if self._busy():
            self.cycle.keep_alive = False  # the last one received: those before it get their answers too
        else:
            self.loop.call_later(self.limits.drain_wait_s, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self._busy() and not self._over:
            self.transport.close()

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # deadlines

    def _set_deadline(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds:
            self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._end(None)

    def _does_not_read(self) -> None:
        self._break_off()
        self.transport.abort()

    def _set_write_deadline(self, on: bool) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
        if on:
            self._write_deadline = self.loop.call_later(self.limits.write_timeout_s, self._does_not_read)

    def pause_writing(self) -> None:
        """The client reads slower than we answer; not for ever."""
        super().pause_writing()
        self._set_write_deadline(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._set_write_deadline(False)

    # httptools

    def on_message_begin(self) -> None:
        """A new request."""
        if len(self.pipeline) >= PIPELINE_MAX:
            self._stop(BrokenRequest("Too many requests at once on one connection."))
        super().on_message_begin()
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """Collect the target within its bound."""
        self.url += url
        if len(self.url) > TARGET_MAX_BYTES:
            self._stop(TooLarge("The address is too long."))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take only names and values that every reader understands alike."""
        if self._in_body:
            # uvicorn would add them to the headers of the request, after those have been judged.
            self._stop(BrokenRequest("Trailers are not taken."))
        if len(self.headers) >= HEADERS_MAX:
            self._stop(TooLarge("There are too many headers."))
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            self._stop(BrokenRequest("A header has a name or value that is not allowed."))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Judge the head as a whole, and only then let the app see it."""
        if self._head_bytes > HEAD_MAX_BYTES and not self._in_body:
            self._stop_if_head_alone_is_large()
        if self.parser.get_http_version() != "1.1":
            self._stop(BrokenRequest("Only HTTP/1.1 is spoken here."))
        if self.parser.should_upgrade():
            self._stop(BrokenRequest("This address does not upgrade connections."))
        self._check_target()
        self._check_framing()
        self._in_head, self._in_body = False, True
        self._head_bytes = 0
        if self._deadline is not None:
            self._set_deadline(0)
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False
        # An extension (ASGI 3): an answer that is whole goes out in one write instead of two, each a system call.
        extension: Any = partial(self._write_whole, self.cycle)
        self.scope["extensions"] = {"onecard.whole": extension}

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._in_body = False

    def _stop_if_head_alone_is_large(self) -> None:
        # The piece that ended the head may hold a body too, so count what the head itself is made of.
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_MAX_BYTES:
            self._stop(TooLarge("The head of the request is too large."))

    def _check_target(self) -> None:
        path, _, query = self.url.partition(b"?")
        if not _PATH.fullmatch(path) or _ODD_SEGMENT.search(path) or not _QUERY.fullmatch(query):
            self._stop(BrokenRequest("The address is not a plain path."))

    def _check_framing(self) -> None:
        hosts = lengths = encodings = 0
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
                if not _HOST.fullmatch(value):
                    self._stop(BrokenRequest("Host is not a host."))
            elif name == b"content-length":
                lengths += 1
                if not _LENGTH.fullmatch(value):
                    self._stop(BrokenRequest("Content-Length is not a number."))
            elif name == b"transfer-encoding":
                encodings += 1
                if value.lower() != b"chunked":
                    self._stop(BrokenRequest("Only the transfer coding chunked is known here."))
            elif name == b"expect" and value.lower() != b"100-continue":
                self._stop(BrokenRequest("Expect is not 100-continue."))
        if hosts != 1 or lengths + encodings > 1:
            self._stop(BrokenRequest("Host, Content-Length or Transfer-Encoding is missing or repeated."))

    # answering

    def _write_whole(
        self, cycle: RequestResponseCycle, status: int, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Write an answer whose headers came out of a strict parser, or are our own; uvicorn checks them again."""
        if cycle.disconnected:
            return
        parts = [STATUS_LINE[status]]
        has_length = status in (204, 304)
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
            has_length = has_length or name == b"content-length"
        if not has_length:
            parts.append(b"content-length: %d\r\n" % len(body))
        parts += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body)
        self.transport.write(b"".join(parts))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    # refusing

    def _stop(self, problem: Refusal) -> None:
        """Leave the parser from inside a callback; `data_received` answers."""
        self._problem = problem
        raise problem

    def _end(self, problem: Refusal | None) -> None:
        """End the connection with at most one answer, and let nothing that follows count."""
        self._over = True
        self._set_deadline(0)
        self.pipeline.clear()
        running = self._running
        if running is not None and not running.response_complete:
            if running is not self.cycle or not self._in_body:
                # A whole request came before this one: it gets its answer, and the connection ends with it.
                running.keep_alive = False
                return
            self._break_off()
            if running.response_started:
                problem = None
        if problem is not None:
            self.transport.write(self._answer(problem))
        self.transport.close()

    def _break_off(self) -> None:
        """Tell the app that the rest of its request will not come."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _answer(self, problem: Refusal) -> bytes:
        status, headers, body = problem_answer(problem, public_url=self.public_url, request_id="none")
        lines = [STATUS_LINE[status], b"connection: close\r\n"]
        lines += [b"%b: %b\r\n" % header for header in headers if header[0] != b"connection"]
        return b"".join([*lines, b"\r\n", body])


def edge_protocol(limits: Limits, public_url: str) -> type[EdgeProtocol]:
    """Return the protocol class that uvicorn is given, with its bounds."""
    return type("BoundedEdgeProtocol", (EdgeProtocol,), {"limits": limits, "public_url": public_url})
