"""Passes one admitted request to its service and the answer back, body by body, with pressure in both directions.

Invariant: a request is sent again only when it is GET or HEAD, its pooled connection turned out to be stale, and not
one byte of an answer had come; a body that broke off never looks whole to the service.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from chassis.errors import TooLarge
from gateway.heads import Head
from gateway.refusals import ServiceDown, ServiceTooLate
from gateway.routes import Route
from gateway.upstream import ConnectFailed, Connection, ConnectionBroke, Pool, TookTooLong, UpstreamError

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Whole = Callable[[int, list[tuple[bytes, bytes]], bytes], None]
"""Writes an answer that is whole at once (an extension of `gateway.protocol`): status, headers, body."""


class ClientGone(Exception):
    """The client closed, or was too slow, before its request was whole."""


class Forwarder:
    """Holds a pool of connections for each service."""

    def __init__(self, pools: Mapping[str, Pool], *, public_host: str, body_timeout_s: float) -> None:
        self._pools = pools
        # Services never see the Host that a client chose.
        self._host = b" HTTP/1.1\r\nhost: " + public_host.encode("ascii") + b"\r\n"
        self._body_timeout_s = body_timeout_s

    async def forward(
        self, head: Head, route: Route, token: str, receive: Receive, send: Send, whole: Whole | None = None
    ) -> int:
        """Do it; returns the status of the answer. A Refusal when nothing has been answered yet."""
        pool = self._pools[route.service]
        lines = self._head(head, route, token)
        pump: asyncio.Task[None] | None = None
        connection: Connection | None = None
        try:
            if head.has_body:
                connection, pump = await self._send_with_body(head, route, lines, receive, pool)
            else:
                framing = b"\r\n" if head.length is None else b"content-length: 0\r\n\r\n"
                connection = await self._send(pool, lines + framing, head.method, route.timeout_s)
            self._dress(connection, route, head.request_id, pump)
            if whole is not None and connection.complete and pump is None:
                whole(connection.status, connection.headers, connection.take())
            else:
                await self._answer(connection, route, receive, send)
            return connection.status
        except UpstreamError as error:
            raise _meaning(error, head.method) from error
        finally:
            if pump is not None and not pump.done():
                pump.cancel()
            if connection is not None:
                pool.release(connection)

    async def ask(self, service: str, target: str, token: str, timeout_s: float) -> bytes:
        """GET something for the gateway itself; returns the body of a 200 and raises for everything else."""
        lines = [f"GET {target}".encode("ascii"), self._host, b"onecard-token: ", token.encode(), b"\r\n\r\n"]
        pool = self._pools[service]
        connection = await self._send(pool, b"".join(lines), "GET", timeout_s)
        try:
            body = bytearray()
            while not connection.complete:
                await connection.more(timeout_s)
                body += connection.take()
            body += connection.take()
            if connection.status != 200:
                raise UpstreamError(f"{target} answered {connection.status}")
            return bytes(body)
        finally:
            pool.release(connection)

    def _head(self, head: Head, route: Route, token: str) -> bytes:
        parts = [head.method.encode(), b" ", head.target, self._host]
        for name, value in head.passed:
            parts += (name, b": ", value, b"\r\n")
        if route.public:
            # These routes check whoever comes themselves: client secrets, the session of the sign-in pages.
            if head.authorization is not None:
                parts += (b"authorization: ", head.authorization, b"\r\n")
            if head.cookie is not None:
                parts += (b"cookie: ", head.cookie, b"\r\n")
            parts += (b"onecard-network: ", head.network.encode("latin-1"), b"\r\n")
        parts += (b"onecard-token: ", token.encode(), b"\r\ntraceparent: ", head.traceparent.encode())
        parts += (b"\r\nx-request-id: ", head.request_id.encode(), b"\r\n")
        return b"".join(parts)

    async def _send(self, pool: Pool, request: bytes, method: str, timeout_s: float) -> Connection:
        """Send a request without body, and wait for the head of the answer."""
        connection = await pool.acquire()
        try:
            connection.start(request, without_body=method == "HEAD")
            try:
                await connection.head(timeout_s)
                return connection
            except ConnectionBroke:
                if method not in ("GET", "HEAD") or connection.exchanges == 1 or connection.touched:
                    raise
            pool.release(connection)
            connection = await pool.acquire(fresh=True)
            connection.start(request, without_body=method == "HEAD")
            await connection.head(timeout_s)
            return connection
        except BaseException:
            pool.release(connection)
            raise

    async def _send_with_body(
        self, head: Head, route: Route, lines: bytes, receive: Receive, pool: Pool
    ) -> tuple[Connection, asyncio.Task[None] | None]:
        """Send a request with its body, and wait for the head of the answer, which may come before the body's end."""
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body: bytes = message["body"]
        if len(body) > route.body_limit:
            raise TooLarge
        connection = await pool.acquire()
        pump: asyncio.Task[None] | None = None
        timeout_s = route.timeout_s
        try:
            if not message["more_body"]:
                connection.start(b"%bcontent-length: %d\r\n\r\n%b" % (lines, len(body), body), without_body=False)
            else:
                framing = b"transfer-encoding: chunked" if head.chunked else b"content-length: %d" % (head.length or 0)
                connection.start(b"%b%b\r\n\r\n" % (lines, framing), without_body=False)
                pump = asyncio.create_task(self._pump(connection, head, route, message, receive))
                timeout_s += self._body_timeout_s
            await connection.head(timeout_s)
        except BaseException:
            if pump is not None:
                pump.cancel()
            pool.release(connection)
            raise
        return connection, pump

    async def _pump(
        self, connection: Connection, head: Head, route: Route, message: dict[str, Any], receive: Receive
    ) -> None:
        """Pass the pieces of a body on as they come, no faster than the service takes them."""
        passed = 0
        while True:
            if message["type"] == "http.disconnect":
                connection.abort(ClientGone())
                return
            piece: bytes = message["body"]
            passed += len(piece)
            if passed > route.body_limit:
                connection.abort(TooLarge())
                return
            if piece:
                connection.write(b"%x\r\n%b\r\n" % (len(piece), piece) if head.chunked else piece)
                await connection.drained(self._body_timeout_s)
            if not message["more_body"]:
                if head.chunked:
                    connection.write(b"0\r\n\r\n")
                return
            message = await receive()

    @staticmethod
    def _dress(connection: Connection, route: Route, request_id: str, pump: asyncio.Task[None] | None) -> None:
        """Add our own headers to those of the service."""
        headers = connection.headers
        headers.append((b"x-request-id", request_id.encode()))
        if not route.public and not any(name == b"cache-control" for name, _ in headers):
            headers.append((b"cache-control", b"no-store"))
        if pump is not None and not pump.done():
            # The service has answered without reading on; neither connection is at a clean place.
            pump.cancel()
            connection.spoil()
            headers.append((b"connection", b"close"))

    async def _answer(self, connection: Connection, route: Route, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": connection.status, "headers": connection.headers})
        if connection.complete:
            await send({"type": "http.response.body", "body": connection.take()})
        else:
            await self._stream(connection, route.timeout_s, receive, send)

    async def _stream(self, connection: Connection, timeout_s: float, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_abort_when_gone(connection, receive))
        try:
            while True:
                finished = connection.complete
                await send({"type": "http.response.body", "body": connection.take(), "more_body": not finished})
                if finished:
                    return
                await connection.more(timeout_s)
        finally:
            gone.cancel()


async def _abort_when_gone(connection: Connection, receive: Receive) -> None:
    """Stop reading an answer that nobody wants any more."""
    while (await receive())["type"] != "http.disconnect":
        pass
    connection.abort(ClientGone())


def _meaning(error: UpstreamError, method: str) -> ServiceDown | ServiceTooLate:
    """Say to the caller what a failed exchange means: did nothing happen, or may a write have happened?"""
    if isinstance(error, ConnectFailed):
        return ServiceDown(retry_after_s=1)
    if isinstance(error, TookTooLong) or method not in ("GET", "HEAD"):
        return ServiceTooLate()
    return ServiceDown(retry_after_s=1)
