"""The connection to NATS: core NATS only, as one user with the rights of one service.

Invariant: NATS is transport and never the truth. Nothing here waits for it: a service starts without it, what cannot
be sent is dropped and counted, and it is reconnected to without end. Everything NATS refuses is said aloud, because
a denial comes asynchronously and looks like a timeout to the caller.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from prometheus_client import Counter

log = logging.getLogger(__name__)

NATS_ERRORS = Counter("onecard_nats_errors_total", "What NATS refused or lost, by kind.", ("kind",))

PENDING_MESSAGES_MAX = 256
PENDING_BYTES_MAX = 64 * 1024 * 1024
RECONNECT_WAIT_S = 0.25

Receive = Callable[[Msg], Awaitable[None]]


@dataclass(eq=False)
class Interest:
    """A subscription that outlives connections; it is made when there is one."""

    subject: str
    receive: Receive
    queue: str
    subscription: Subscription | None = None


class Bus:
    """One service's connection. `start` returns at once; `stop` takes at most two seconds."""

    def __init__(self, url: str, *, name: str, seed: str | None = None, inbox: str | None = None) -> None:
        """`name` is the service's short name, `seed` its nkey seed; the inbox prefix is "_INBOX.<name>-svc"."""
        self._url = url
        self._name = name
        self._seed = seed
        self._inbox = inbox or f"_INBOX.{name}-svc"
        self._client: Client | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._interests: list[Interest] = []
        self._stopping = False
        self._said: tuple[str, str] | None = None
        self.refusals = 0  # what NATS denied us; anything but 0 is a fault of configuration
        self.dropped = 0

    @property
    def is_connected(self) -> bool:
        """Whether a message sent now has a server to go to."""
        return self._client is not None and self._client.is_connected

    async def start(self) -> None:
        """Begin to connect, in the background and without end."""
        self._stopping = False
        self._connecting = asyncio.create_task(self._connect(), name=f"nats {self._name}")

    async def stop(self) -> None:
        """Close the connection; whatever is in flight may be lost, which is all right."""
        self._stopping = True
        if self._connecting is not None:
            await _end(self._connecting)
        if self._client is not None and not self._client.is_closed:
            with suppress(TimeoutError, errors.Error, OSError):
                async with asyncio.timeout(2.0):
                    await self._client.close()

    async def publish(self, subject: str, message: bytes) -> bool:
        """Send, or drop and count when there is no connection; whether it was sent."""
        client = self._client
        if client is None or not client.is_connected:
            self.dropped += 1
            return False
        try:
            await client.publish(subject, message)
        except (errors.Error, OSError) as error:
            self.dropped += 1
            await self._loud(error)
            return False
        return True

    async def request(self, subject: str, message: bytes, *, timeout_s: float) -> bytes | None:
        """Ask and return the answer; None when nobody answers in time or there is no connection."""
        client = self._client
        if client is None or not client.is_connected:
            return None
        try:
            answer = await client.request(subject, message, timeout=timeout_s)
        except (errors.Error, OSError, TimeoutError):
            return None
        return bytes(answer.data)

    async def subscribe(self, subject: str, receive: Receive, *, queue: str = "") -> Interest:
        """Have `receive` called for each message, now or as soon as there is a connection."""
        interest = Interest(subject, receive, queue)
        self._interests.append(interest)
        if self._client is not None and self.is_connected:
            await self._make(self._client, interest)
        return interest

    async def unsubscribe(self, interest: Interest) -> None:
        """Stop receiving."""
        self._interests.remove(interest)
        if interest.subscription is not None and self._client is not None and not self._client.is_closed:
            with suppress(errors.Error, OSError):
                await interest.subscription.unsubscribe()

    async def _connect(self) -> None:
        self._client = client = Client()
        while True:
            try:
                await client.connect(self._url, **self._options())
                break
            except (errors.Error, OSError, TimeoutError) as error:
                await self._loud(error)
                await asyncio.sleep(RECONNECT_WAIT_S)
        for interest in list(self._interests):
            await self._make(client, interest)

    def _options(self) -> dict[str, Any]:
        return {
            "name": self._name,
            "nkeys_seed_str": self._seed,
            "inbox_prefix": self._inbox,
            "error_cb": self._loud,
            "disconnected_cb": self._lost,
            "reconnected_cb": self._back,
            "closed_cb": self._closed,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": RECONNECT_WAIT_S,
            "connect_timeout": 2,
            "ping_interval": 2,
            "max_outstanding_pings": 2,
        }

    async def _make(self, client: Client, interest: Interest) -> None:
        if interest.subscription is not None:
            return
        try:
            interest.subscription = await client.subscribe(
                interest.subject,
                queue=interest.queue,
                cb=interest.receive,
                pending_msgs_limit=PENDING_MESSAGES_MAX,
                pending_bytes_limit=PENDING_BYTES_MAX,
            )
        except (errors.Error, OSError) as error:
            await self._loud(error)

    async def _loud(self, error: Exception) -> None:
        kind = type(error).__name__
        text = str(error)
        if "permissions violation" in text.lower() or "authorization" in text.lower():
            kind = "denied"
            self.refusals += 1
        NATS_ERRORS.labels(kind).inc()
        # A server that is away says the same thing four times a second.
        if (kind, text) != self._said or kind == "denied":
            log.error("nats %s: %s: %s", self._name, kind, text)
        self._said = (kind, text)

    async def _lost(self) -> None:
        log.warning("nats %s: connection lost", self._name)

    async def _closed(self) -> None:
        """The client gives up after a refused sign-in, for example; we do not."""
        self._client = None
        for interest in self._interests:
            interest.subscription = None
        if not self._stopping:
            await asyncio.sleep(RECONNECT_WAIT_S)
            self._connecting = asyncio.create_task(self._connect(), name=f"nats {self._name}")

    async def _back(self) -> None:
        self._said = None
        log.info("nats %s: connected again", self._name)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel until it ends, within a second: while nats-py closes a failed attempt it swallows a cancellation."""
    for _ in range(20):
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=0.05)
        if done:
            return
    log.error("nats: an attempt to connect did not end")
