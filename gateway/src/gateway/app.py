"""The ASGI app: who may come in, for what, how often; everything else is the work of the modules it is made of.

Invariant: a request reaches a service only after route, token, revocation, scope, assurance, quota and room have
been checked, in that order, and every answer is counted once.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from chassis.crypto.fields import FieldKeys
from chassis.errors import Refusal, TooLarge
from chassis.keys import KeyFolder
from gateway.forwarding import ClientGone, Forwarder, Receive, Send, Whole
from gateway.heads import Head, read_head
from gateway.internal import InternalTokens
from gateway.limits import Buckets, Doorkeeper, retry_after_s
from gateway.measures import NO_OPERATION, AccessLog, Measures
from gateway.pages import Page, read_pages
from gateway.problems import problem_answer
from gateway.refusals import (
    AssuranceTooWeak,
    BrokenRequest,
    NoRoute,
    NotLoaded,
    NoToken,
    QuotaUsedUp,
    RevocationStale,
    ScopeMissing,
    ServiceDown,
    TokenRevoked,
)
from gateway.revocations import STALE_S, Poller, RevocationCopy
from gateway.routes import Route, RouteTable, read_routes
from gateway.settings import Settings
from gateway.tokens import ACR_RANK, TokenRefused, TokenVerifier, Verified
from gateway.upstream import Pool

ASK_TIMEOUT_S = 1.0
FLUSH_S = 0.1
_ACR = {rank: acr for acr, rank in ACR_RANK.items()}
_log = logging.getLogger("gateway")


class Gateway:
    """One process at the door."""

    def __init__(self, settings: Settings, routes: RouteTable, pages: Mapping[str, Page], keys: KeyFolder) -> None:
        limits = settings.limits
        self._settings = settings
        self._routes = routes
        self._pages = pages
        self._internal = InternalTokens(keys, cell=settings.cell, now_s=self._now_s)
        self.verifier = TokenVerifier(
            public_url=settings.public_url,
            cid_keys=FieldKeys(keys.secrets("cid")),
            now_s=self._now_s,
            remembered=limits.tokens_cached,
        )
        self.revocations = RevocationCopy(time.monotonic, self._now_s)
        self.poller = Poller(self.revocations, self.verifier.use_keys, self._ask_identity)
        self._door = Doorkeeper(bound=limits.in_flight, bound_service=limits.in_flight_service)
        kept = limits.keys_remembered
        self._clients = Buckets(rate=limits.client_rate, burst=limits.client_burst, remembered=kept)
        self._persons = Buckets(rate=limits.person_rate, burst=limits.person_burst, remembered=kept)
        self._networks = Buckets(rate=limits.network_rate, burst=limits.network_burst, remembered=kept)
        self._forgers = Buckets(rate=limits.refused_rate, burst=limits.refused_burst, remembered=kept)
        self.measures = Measures()
        self._access_log = AccessLog(on=settings.access_log)
        self._forwarder: Forwarder | None = None

    def _now_s(self) -> float:
        return time.time() + self._settings.clock_offset_s

    async def ready(self) -> str | None:
        """Say what is missing before this process can serve, or None."""
        if not self.poller.ready:
            return "the revocation list and the token keys have not been read yet"
        if self.revocations.age_s() > STALE_S:
            return "the copy of the revocation list is too old"
        return None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3), or the lifespan."""
        if scope["type"] != "http":
            await self._live(receive, send)
            return
        started_s = time.monotonic()
        route: Route | None = None
        token: Verified | None = None
        head: Head | None = None
        status = 499  # as nginx notes it: the client went away before there was an answer
        try:
            head = read_head(scope, self._settings.proxies)
            route = self._routes.match(head.method, head.path)
            if route is None:
                status = await self._page(head, send)
                return
            token = self._admit(head, route, started_s)
            whole = scope.get("extensions", {}).get("onecard.whole")
            status = await self._pass_on(head, route, token, receive, send, whole)
        except Refusal as refusal:
            status = await self._refuse(refusal, head, send)
        except ClientGone:
            pass
        finally:
            self._note(route, token, head, scope["method"], status, time.monotonic() - started_s)

    def _admit(self, head: Head, route: Route, now_s: float) -> Verified | None:
        """Check all that can be checked before a service is asked; returns the token, None on public routes."""
        if head.has_body and (route.body_limit == 0 or (head.length or 0) > route.body_limit):
            raise TooLarge
        if route.public:
            self._networks.take_or_refuse(head.network, now_s)
            return None
        token = self._verified(head, now_s)
        if self.revocations.kills(token):
            raise TokenRevoked
        if route.sensitive and self.revocations.age_s() > STALE_S:
            raise RevocationStale(retry_after_s=1)
        if not route.scopes & token.scopes:
            raise ScopeMissing(route.scopes)
        if token.rank < route.assurance:
            raise AssuranceTooWeak(_ACR[route.assurance])
        if token.person:
            self._persons.take_or_refuse(token.person, now_s)
        self._clients.take_or_refuse(token.client, now_s)
        return token

    def _verified(self, head: Head, now_s: float) -> Verified:
        if head.authorization is None:
            raise NoToken
        scheme, _, credential = head.authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not credential:
            raise NoToken
        if not self.poller.ready:
            raise NotLoaded(retry_after_s=1)
        token = self.verifier.recall(credential)
        if token is not None:
            return token
        # Each unknown token costs a signature check: whoever sends many that fail waits before the next one.
        wait_s = self._forgers.wait_s(head.network, now_s)
        if wait_s:
            raise QuotaUsedUp(retry_after_s=retry_after_s(wait_s))
        try:
            return self.verifier.verify(credential)
        except TokenRefused:
            self._forgers.take(head.network, now_s)
            raise

    async def _pass_on(
        self, head: Head, route: Route, token: Verified | None, receive: Receive, send: Send, whole: Whole | None
    ) -> int:
        if self._forwarder is None:
            raise ServiceDown
        self._door.enter(route.service)
        try:
            internal = self._internal.for_request(route, token)
            return await self._forwarder.forward(head, route, internal, receive, send, whole)
        finally:
            self._door.leave(route.service)

    async def _page(self, head: Head, send: Send) -> int:
        page = self._pages.get(head.path) if head.method in ("GET", "HEAD") else None
        if page is None:
            raise NoRoute
        if head.has_body:
            raise TooLarge
        self._networks.take_or_refuse(head.network, time.monotonic())
        unchanged = (b"if-none-match", page.etag) in head.passed
        status, body = (304, b"") if unchanged else (200, page.body)
        headers = [*page.headers, (b"x-request-id", head.request_id.encode())]
        if not unchanged:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return status

    async def _refuse(self, refusal: Refusal, head: Head | None, send: Send) -> int:
        self.measures.refusal(refusal.code)
        request_id = head.request_id if head is not None else "none"
        status, headers, body = problem_answer(refusal, public_url=self._settings.public_url, request_id=request_id)
        headers.append((b"x-request-id", request_id.encode()))
        if (head is None or head.has_body) and status != 413:
            # What is left of the body would have to be read before the next request; a new connection is cheaper.
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return status

    def _note(
        self, route: Route | None, token: Verified | None, head: Head | None, method: str, status: int, seconds: float
    ) -> None:
        operation = route.operation if route is not None else NO_OPERATION
        self.measures.request(operation, method, status, seconds)
        client = token.client if token is not None else ""
        request_id = head.request_id if head is not None else "none"
        trace = head.traceparent[3:35] if head is not None else ""
        self._access_log.request(operation, method, status, seconds, client, request_id, trace)

    async def _ask_identity(self, target: str, operation: str) -> bytes:
        if self._forwarder is None:
            raise BrokenRequest("not started")
        token = self._internal.for_own("identity", operation)
        return await self._forwarder.ask("identity", target, token, ASK_TIMEOUT_S)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start and stop with the server (ASGI lifespan)."""
        loop = asyncio.get_running_loop()
        pools = {
            service: Pool(host, port, loop, time.monotonic) for service, (host, port) in self._settings.peers.items()
        }
        self._forwarder = Forwarder(
            pools,
            public_host=urlsplit(self._settings.public_url).netloc,
            body_timeout_s=self._settings.limits.body_timeout_s,
        )
        self._show_gauges()
        flusher = loop.create_task(self._flush())
        await receive()
        self.poller.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.poller.stop()
        flusher.cancel()
        self._access_log.flush()
        for pool in pools.values():
            pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    def _show_gauges(self) -> None:
        self.measures.gauges.update(
            revocation_age_seconds=self.revocations.age_s,
            revocations=lambda: len(self.revocations),
            tokens_remembered=lambda: len(self.verifier),
            requests_in_flight=lambda: self._door.in_flight,
        )

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self._access_log.flush()


def create_app(settings: Settings) -> Gateway:
    """Put a gateway together; raises one clear sentence when routes, pages or keys are not as they should be."""
    return Gateway(settings, read_routes(), read_pages(settings.pages), KeyFolder(settings.keys))
