"""A real gateway process between a test and a recording upstream, for the tests, the conformance table and the bench.

Invariant: every key, port and token is made here for one run; nothing of a running cell is read or touched.
"""

import asyncio
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast
from uuid import UUID, uuid4

import httptools
import jwt

from chassis.crypto.fields import FieldKeys
from chassis.crypto.secret_key import SecretKey
from chassis.crypto.signing import PrivateKey
from contracts.edges import SERVICES

CELL = "330000"
START_LIMIT_S = 10.0


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def eventually(condition: Callable[[], bool], limit_s: float = 3.0) -> None:
    """Wait until something outside this process's control has become true; AssertionError when it does not in time."""
    ends_s = time.monotonic() + limit_s
    while not condition():  # the other process cannot set an event of ours
        assert time.monotonic() < ends_s, "it did not come to pass in time"
        await asyncio.sleep(0.01)


class Issuer:
    """Mints access tokens as identity-svc does; any claim or header can be overridden or removed (None)."""

    def __init__(self, public_url: str, kid: str = "t1") -> None:
        self.public_url = public_url
        self.key = PrivateKey.generate(kid)
        self.cid_key = SecretKey.generate("c1")
        self._seal = FieldKeys({"c1": self.cid_key}).seal_text

    def claims(self, *, citizen: UUID | None = None, acting: UUID | None = None, **changes: Any) -> dict[str, Any]:
        """The claims of a good token for a person (or none, for kind terminal), with `changes` on top."""
        now_ms = int(time.time() * 1000)
        jti = str(changes.get("jti") or uuid4())
        claims: dict[str, Any] = {
            "iss": self.public_url,
            "aud": self.public_url,
            "sub": secrets.token_urlsafe(12),
            "client_id": "channel-1",
            "kind": "channel",
            "scope": "card card.code card.loss use payments openid",
            "acr": "urn:onecard:acr:real-person" if citizen else "urn:onecard:acr:client",
            "amr": ["otp"],
            "auth_time": now_ms // 1000,
            "jti": jti,
            "iat": now_ms // 1000,
            "iat_ms": now_ms,
            "exp": now_ms // 1000 + 600,
            "lin": [],
        }
        if citizen:
            claims["cid"] = self.seal(citizen, jti)
        if acting:
            claims["act"] = {"sub": "x", "cid": self.seal(acting, jti), "binding": "b-1"}
        claims |= changes
        return {name: value for name, value in claims.items() if value is not None}

    def seal(self, citizen: UUID, jti: str) -> str:
        """Encrypt a citizen id to the gateway, bound to one token."""
        return self._seal(str(citizen).encode(), jti.encode())

    def token(self, *, citizen: UUID | None = None, acting: UUID | None = None, **changes: Any) -> str:
        """Mint a token; `citizen` given makes it a person's."""
        return self.sign(self.claims(citizen=citizen, acting=acting, **changes))

    def sign(self, claims: dict[str, Any]) -> str:
        """Sign claims as they are."""
        headers = {"typ": "at+jwt", "kid": self.key.kid}
        return jwt.encode(claims, self.key.native, algorithm="ES256", headers=headers)


def write_keys(folder: Path, issuer: Issuer) -> dict[str, SecretKey]:
    """Write the gateway's key folder; returns the key of each edge."""
    edges = {service: SecretKey.generate("e1") for service in SERVICES}
    for service, key in edges.items():
        place = folder / "edges" / f"gateway-{service}"
        place.mkdir(parents=True)
        (place / "e1.key").write_text(key.to_text())
    (folder / "cid").mkdir()
    (folder / "cid" / "c1.key").write_text(issuer.cid_key.to_text())
    return edges


@dataclass
class Seen:
    """One request that reached the upstream."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytearray = field(default_factory=bytearray)
    whole: bool = False

    def header(self, name: str) -> str | None:
        """Return the one value of a header, or None."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} stands twice"
        return values[0] if values else None


@dataclass
class Answer:
    """What the upstream says; `raw` replaces all of it."""

    status: int = 200
    body: bytes = b'{"ok":true}'
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    raw: bytes | None = None
    delay_s: float = 0.0
    close: bool = False


class Upstream(asyncio.Protocol):
    """One connection of the recording upstream."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._parser = httptools.HttpRequestParser(self)
        self.current: Seen | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection."""
        self.transport = cast(asyncio.Transport, transport)
        self._services.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._services.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Parse; what is not HTTP is recorded as such."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._services.broken.append(f"{error}: {data[:200]!r}")
            self.transport.close()

    def on_message_begin(self) -> None:
        """A new request."""
        self.current = Seen("", "", [])

    def on_url(self, url: bytes) -> None:
        """Collect the target."""
        assert self.current is not None
        self.current.target += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        assert self.current is not None
        self.current.headers.append((name.decode().lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The head is there: it counts, whatever becomes of the body."""
        assert self.current is not None
        self.current.method = self._parser.get_method().decode()
        if not self.current.target.startswith("/internal/"):
            self._services.seen.append(self.current)
            if self._services.on_head is not None:
                self._services.on_head(self.current, self)

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        assert self.current is not None
        self.current.body += body

    def on_message_complete(self) -> None:
        """Answer."""
        assert self.current is not None
        self.current.whole = True
        answer = self._services.answer_to(self.current)
        if answer is not None:
            if answer.delay_s:
                asyncio.get_running_loop().call_later(answer.delay_s, self.send, answer)
            else:
                self.send(answer)

    def send(self, answer: Answer) -> None:
        """Write an answer."""
        if answer.raw is not None:
            self.transport.write(answer.raw)
        else:
            lines = [f"HTTP/1.1 {answer.status} X", f"content-length: {len(answer.body)}"]
            lines += [f"{name}: {value}" for name, value in answer.headers]
            self.transport.write("\r\n".join([*lines, "", ""]).encode() + answer.body)
        if answer.close:
            self.transport.close()


class Services:
    """All five services and identity's internal answers behind one port."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.seen: list[Seen] = []
        self.broken: list[str] = []
        self.revocations: list[dict[str, Any]] = []
        self.silent = False  # identity-svc does not answer its internal questions
        self.asked: list[Seen] = []
        self.script: Callable[[Seen], Answer | None] = lambda _seen: Answer()
        self.on_head: Callable[[Seen, Upstream], None] | None = None
        self.connections: set[Upstream] = set()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Upstream(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def revoke(self, name: str, not_before_ms: int | None = None) -> None:
        """Put an id on the list, by default as of now."""
        moment = int(time.time() * 1000) + 1 if not_before_ms is None else not_before_ms
        self.revocations.append({"id": name, "not_before_ms": moment, "n": len(self.revocations) + 1})

    def answer_to(self, seen: Seen) -> Answer | None:
        """Answer identity's internal questions; everything else goes by the script."""
        if not seen.target.startswith("/internal/"):
            return self.script(seen)
        self.asked.append(seen)
        if self.silent:
            return None
        if seen.target.startswith("/internal/keys"):
            return Answer(body=json.dumps({"keys": [self.issuer.key.public.to_jwk()]}).encode())
        after = int(seen.target.rpartition("=")[2])
        entries = [entry for entry in self.revocations if entry["n"] > after]
        return Answer(
            body=json.dumps(
                {"entries": entries[:2], "newest": len(self.revocations), "more": len(entries) > 2}
            ).encode()
        )


@dataclass
class Reply:
    """What came back on a raw connection: status 0 means closed without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Door(AbstractAsyncContextManager["Door"]):
    """A gateway process with its recording upstream."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.port = free_port()
        self.health_port = free_port()
        self.public_url = f"http://127.0.0.1:{self.port}"
        self.issuer = Issuer(self.public_url)
        self.services = Services(self.issuer)
        self._folder = folder
        self._environment = environment
        self.edges = write_keys(folder, self.issuer)
        self.process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        await self.services.start()
        await self.start_process()
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self.services.stop()

    def environment(self) -> dict[str, str]:
        """The environment of the process."""
        peers = dict.fromkeys(SERVICES, f"http://127.0.0.1:{self.services.port}")
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        ours = {
            "ONECARD_CELL": CELL,
            "ONECARD_PUBLIC_URL": self.public_url,
            "ONECARD_PORT": str(self.port),
            "ONECARD_HEALTH_PORT": str(self.health_port),
            "ONECARD_KEYS": str(self._folder),
            "ONECARD_PEERS": json.dumps(peers),
        }
        return kept | ours | self._environment

    async def start_process(self, *, ready: bool = True) -> None:
        """Start, and wait until it is ready (or only alive)."""
        with (self._folder / "log.jsonl").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", env=self.environment(), stdout=log, stderr=log
            )
        wanted = "/readyz" if ready else "/livez"
        limit_s = time.monotonic() + START_LIMIT_S
        while (reply := await self.health(wanted)).status != 200:
            assert self.process.returncode is None, self.log()
            assert time.monotonic() < limit_s, f"not ready: {reply.body!r}; {self.log()}"
            await asyncio.sleep(0.02)

    def log(self) -> str:
        """Everything that the process has logged."""
        return (self._folder / "log.jsonl").read_text()

    async def health(self, path: str) -> Reply:
        """Ask the second port."""
        return await ask(self.health_port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    async def raw(self, request: bytes, *, timeout_s: float = 5.0) -> Reply:
        """Send bytes on a connection of their own, and read one answer."""
        return await ask(self.port, request, timeout_s=timeout_s)

    async def get(self, path: str, token: str | None = None, **headers: str) -> Reply:
        """GET with a token."""
        return await self.send("GET", path, token, None, **headers)

    async def send(
        self, method: str, path: str, token: str | None = None, body: bytes | None = None, **headers: str
    ) -> Reply:
        """Send one request; underscores in the names of `headers` become hyphens."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        if token is not None:
            lines.append(f"Authorization: Bearer {token}")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return await self.raw("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))


async def ask(port: int, request: bytes, *, timeout_s: float = 5.0) -> Reply:
    """Send bytes and read one answer; a refused connection or a close before an answer is status 0."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return Reply(0, {}, b"")
    try:
        with suppress(ConnectionError):
            writer.write(request)
            async with asyncio.timeout(timeout_s):
                return await read_reply(reader, without_body=request.startswith(b"HEAD"))
        return Reply(0, {}, b"")
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def read_reply(reader: asyncio.StreamReader, *, without_body: bool = False) -> Reply:
    """Read one whole answer; a close before its head is status 0, a close inside it an IncompleteReadError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return Reply(0, {}, b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    status = int(first.split()[1])
    body = b""
    if without_body or status in (204, 304):
        return Reply(status, headers, body)
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Reply(status, headers, body)
