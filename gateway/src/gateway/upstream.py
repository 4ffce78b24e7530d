"""Pooled connections to the services: HTTP/1.1 over plain asyncio protocols, bodies streamed, pressure passed on.

Invariant: one connection carries one exchange at a time, and is used again only after an answer that was complete
and said nothing against it; bytes that nobody asked for close it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

import httptools

IDLE_MAX_S: Final = 4.0
"""Less than the keep-alive of the services (5 s), so that they do not close just as a request goes out."""
IDLE_CONNECTIONS: Final = 128
CONNECT_TIMEOUT_S: Final = 1.0
HIGH_WATER_BYTES: Final = 65_536
HEAD_MAX_BYTES: Final = 65_536
NOT_PASSED_BACK: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"server",
        b"date",
        b"traceparent",
        b"x-request-id",
    )
)


class UpstreamError(Exception):
    """The exchange with the service did not come to an end."""


class ConnectFailed(UpstreamError):
    """No connection to the service; nothing was sent."""


class ConnectionBroke(UpstreamError):
    """The connection ended before the answer did."""


class TookTooLong(UpstreamError):
    """The service let the time of the route pass."""


class AnswerBroken(UpstreamError):
    """What the service sent is not an HTTP answer to this request."""


class Connection(asyncio.Protocol):
    """One connection to one service, and the answer under way on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._write_paused = False
        self._reading = True
        self._busy = False
        self._closed = False
        self.idle_since_s = 0.0
        self.exchanges = 0
        self._begin(False)

    def _begin(self, without_body: bool) -> None:
        self._without_body = without_body
        self._nominated: set[bytes] = set()
        self._has_length = False
        self._keep = False
        self._head_bytes = 0
        self._chunks: list[bytes] = []
        self._buffered = 0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_head = False
        self.complete = False
        self.touched = False  # any byte of an answer has come
        self.failure: Exception | None = None

    # what the gateway asks of it

    @property
    def usable(self) -> bool:
        """Whether another exchange may begin on it."""
        return not self._closed and not self._busy and not self._write_paused

    @property
    def reusable(self) -> bool:
        """Whether the exchange ended in a way that lets another one follow."""
        return self.complete and self._keep and not self._closed and self.failure is None

    def start(self, head: bytes, *, without_body: bool) -> None:
        """Begin an exchange; `without_body`: the answer has none whatever its headers say (HEAD)."""
        self._begin(without_body)
        self._busy = True
        self.exchanges += 1
        self.write(head)

    def write(self, part: bytes) -> None:
        """Send bytes of the request."""
        if self._transport is not None and not self._closed:
            self._transport.write(part)

    async def drained(self, timeout_s: float) -> None:
        """Wait until the service takes more; a service that does not for `timeout_s` fails the exchange."""
        if not self._write_paused or self.failure is not None:
            return
        self._writable = self._loop.create_future()
        timer = self._loop.call_later(timeout_s, self._too_late)
        try:
            await self._writable
        finally:
            timer.cancel()
            self._writable = None

    async def head(self, timeout_s: float) -> None:
        """Wait for status and headers; raises the UpstreamError that came instead."""
        if not self.has_head and self.failure is None:
            await self._news(timeout_s)
        if self.failure is not None:
            raise self.failure

    async def more(self, timeout_s: float) -> None:
        """Wait for the next piece of the body, or its end; raises the UpstreamError that came instead."""
        if not (self._chunks or self.complete) and self.failure is None:
            await self._news(timeout_s)
        if self.failure is not None:
            raise self.failure

    def take(self) -> bytes:
        """Take what has arrived of the body, and let the service send more."""
        chunks = self._chunks
        if not chunks:
            return b""
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._buffered = 0
        if not self._reading and self._transport is not None and not self._closed:
            self._reading = True
            self._transport.resume_reading()
        return body

    def finish(self) -> None:
        """The exchange is over on our side."""
        self._busy = False

    def spoil(self) -> None:
        """Let no other exchange follow this one."""
        self._keep = False

    def abort(self, reason: Exception | None = None) -> None:
        """Close at once: the service must not take a broken-off request for a whole one."""
        self._fail(reason or ConnectionBroke("given up"))
        self._close()

    async def _news(self, timeout_s: float) -> None:
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(timeout_s, self._too_late)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _too_late(self) -> None:
        self._fail(TookTooLong("no answer in time"))
        self._close()

    def _fail(self, failure: Exception) -> None:
        if self._busy and not self.complete and self.failure is None:
            self.failure = failure
        self._wake(self._waiter)
        self._wake(self._writable)

    def _close(self) -> None:
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    @staticmethod
    def _wake(future: asyncio.Future[None] | None) -> None:
        if future is not None and not future.done():
            future.set_result(None)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        """Parse a piece of the answer; wake whoever waits once for all that it held."""
        if not self._busy or self.complete:
            self._keep = False
            self._close()
            return
        self.touched = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(AnswerBroken("not an answer to this request"))
            self._close()
            return
        if not self.has_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                self._fail(AnswerBroken("the head of the answer is too large"))
                self._close()
            return
        if self._buffered > HIGH_WATER_BYTES and self._reading and self._transport is not None and not self._closed:
            self._reading = False
            self._transport.pause_reading()
        self._wake(self._waiter)

    def connection_lost(self, _error: Exception | None) -> None:
        """End the answer if its end is the end of the connection, else fail it."""
        self._closed = True
        if self.has_head and not self._has_length and _error is None:
            self.complete = True
        self._fail(ConnectionBroke("the connection ended"))

    def pause_writing(self) -> None:
        """The service reads slower than the client sends."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """The service has caught up."""
        self._write_paused = False
        self._wake(self._writable)

    # httptools

    def on_message_begin(self) -> None:
        """A second answer in the bytes of the first one poisons the connection."""
        if self.complete:
            self._keep = False
            raise ValueError("an answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what may be passed back."""
        name = name.lower()
        if name == b"content-length" or name == b"transfer-encoding":
            self._has_length = True
        elif name == b"connection":
            self._nominated.update(token.strip().lower() for token in value.split(b","))
        if name not in NOT_PASSED_BACK and not name.startswith(b"onecard-"):
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there; 1xx is not an answer yet."""
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                raise ValueError("nobody asked to upgrade")
            self.headers = []
            self._has_length = False
            return
        self.status = status
        self._keep = self._parser.should_keep_alive()
        if self._nominated - {b"close", b"keep-alive"}:
            self.headers = [(name, value) for name, value in self.headers if name not in self._nominated]
        self.has_head = True
        if self._without_body:
            # llhttp would wait for the body that the headers describe: this parser has done its work.
            self.complete = True
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, body: bytes) -> None:
        """Keep a piece until the client takes it."""
        if not self._without_body:
            self._chunks.append(body)
            self._buffered += len(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self.has_head:
            self.complete = True


class Pool:
    """Connections to one service; the one used last is used first, so that spare ones grow old and go."""

    def __init__(self, host: str, port: int, loop: asyncio.AbstractEventLoop, monotonic: Callable[[], float]) -> None:
        self._host = host
        self._port = port
        self._loop = loop
        self._monotonic = monotonic
        self._idle: deque[Connection] = deque()

    async def acquire(self, *, fresh: bool = False) -> Connection:
        """Return a connection, from the pool unless it must be fresh; ConnectFailed when there is none."""
        oldest_s = self._monotonic() - IDLE_MAX_S
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since_s > oldest_s:
                return connection
            connection.abort()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._loop), self._host, self._port
                )
        except (OSError, TimeoutError) as error:
            raise ConnectFailed(f"no connection: {error or 'too late'}") from None
        return connection

    def release(self, connection: Connection) -> None:
        """Take a connection back; what cannot carry another exchange is closed."""
        connection.finish()
        if not connection.reusable or not connection.usable or len(self._idle) >= IDLE_CONNECTIONS:
            connection.abort()
            return
        connection.idle_since_s = self._monotonic()
        self._idle.append(connection)
        while self._idle and self._idle[0].idle_since_s <= connection.idle_since_s - IDLE_MAX_S:
            self._idle.popleft().abort()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().abort()
