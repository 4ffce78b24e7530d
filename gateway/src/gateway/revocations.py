"""The gateway's copy of the revocation list, and of the keys that tokens are signed with, asked of identity-svc.

Invariant: no token is accepted before the whole list has been read once; the age of the copy is the time since the
last good answer was *asked for*, so a slow answer does not make it look younger.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from chassis.crypto.errors import BadKey
from chassis.crypto.signing import PublicKey
from gateway.tokens import LIFETIME_MAX_S, Verified

POLL_S: Final = 0.3
KEYS_POLL_S: Final = 5.0
STALE_S: Final = 3.0
OVERLAP_S: Final = 5.0
"""Entries are asked for again for so long: a number given out earlier may have been committed later."""
KEEP_MS: Final = 2 * LIFETIME_MAX_S * 1000
"""An entry older than any token lives kills nothing any more."""
PAGES_MAX: Final = 1_000

Ask = Callable[[str, str], Awaitable[bytes]]
"""GET of (path with query, operation) at identity-svc; raises on anything but 200."""

_log = logging.getLogger("gateway.revocations")


class RevocationCopy:
    """`id -> not before` in ms; a token is dead if any id that it names is listed after its issue."""

    def __init__(self, monotonic: Callable[[], float], now_s: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._now_s = now_s
        self._not_before_ms: dict[str, int] = {}
        self._asked_s: float | None = None
        self._last = 0
        self._seen: deque[tuple[float, int]] = deque()  # (when, last number known then)
        self.generation = 0

    @property
    def loaded(self) -> bool:
        """Whether the whole list has been read once."""
        return self._asked_s is not None

    def age_s(self) -> float:
        """Seconds since the last good answer was asked for; infinite before the first."""
        return float("inf") if self._asked_s is None else self._monotonic() - self._asked_s

    def __len__(self) -> int:
        return len(self._not_before_ms)

    def after(self) -> int:
        """The number to ask after: the last one known OVERLAP_S before the last good answer.

        What that answer did not hold yet was numbered at most OVERLAP_S before it, so its number is higher.
        """
        if self._asked_s is None:
            return 0
        enough_s = self._asked_s - OVERLAP_S
        while len(self._seen) > 1 and self._seen[1][0] <= enough_s:
            self._seen.popleft()
        return self._seen[0][1] if self._seen[0][0] <= enough_s else 0

    def take(self, entries: list[dict[str, Any]]) -> int:
        """Take entries in; returns the highest number among them. ValueError for a list that is not one."""
        highest = 0
        for entry in entries:
            name, not_before_ms, number = entry["id"], entry["not_before_ms"], entry["n"]
            if not (isinstance(name, str) and type(not_before_ms) is int and type(number) is int):
                raise ValueError("an entry of the revocation list is not of the form id, not_before_ms, n")
            highest = max(highest, number)
            if not_before_ms > self._not_before_ms.get(name, -1):
                self._not_before_ms[name] = not_before_ms
                self.generation += 1
        self._last = max(self._last, highest)
        return highest

    def complete(self, asked_s: float) -> None:
        """The list asked for at `asked_s` has been read to its end."""
        self._asked_s = asked_s
        self._seen.append((asked_s, self._last))

    def forget_outlived(self) -> None:
        """Drop entries that no living token can be older than."""
        oldest_ms = int(self._now_s() * 1000) - KEEP_MS
        outlived = [name for name, not_before_ms in self._not_before_ms.items() if not_before_ms < oldest_ms]
        for name in outlived:
            del self._not_before_ms[name]

    def kills(self, token: Verified) -> bool:
        """Whether the token is dead; compares again only when the list has changed since the last time."""
        if token.checked == self.generation:
            return False
        for name, issued_ms in token.named:
            if self._not_before_ms.get(name, -1) > issued_ms:
                return True
        token.checked = self.generation
        return False


class Poller:
    """Keeps copy and keys fresh until it is stopped; every failure is just an older copy."""

    def __init__(self, copy: RevocationCopy, use_keys: Callable[[dict[str, PublicKey]], None], ask: Ask) -> None:
        self._copy = copy
        self._use_keys = use_keys
        self._ask = ask
        self._keys_known = False
        self._failing = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ready(self) -> bool:
        """Whether tokens can be verified at all."""
        return self._copy.loaded and self._keys_known

    def start(self) -> None:
        """Begin to ask."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep_revocations()), loop.create_task(self._keep_keys())]

    async def stop(self) -> None:
        """Stop asking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_revocations(self) -> None:
        rounds = 0
        while True:
            await self._attempt(self._read_revocations)
            rounds += 1
            if rounds % 200 == 0:
                self._copy.forget_outlived()
            await asyncio.sleep(POLL_S)

    async def _keep_keys(self) -> None:
        while True:
            await self._attempt(self._read_keys)
            await asyncio.sleep(KEYS_POLL_S if self._keys_known else POLL_S)

    async def _attempt(self, read: Callable[[], Awaitable[None]]) -> None:
        try:
            await read()
        except Exception as error:  # whatever it is, the answer is the same: the copy grows older
            if not self._failing:
                _log.warning("identity-svc does not give revocations or keys: %s", error or type(error).__name__)
            self._failing = True
        else:
            self._failing = False

    async def _read_revocations(self) -> None:
        asked_s = self._copy._monotonic()
        after = self._copy.after()
        for _ in range(PAGES_MAX):
            answer = json.loads(await self._ask(f"/internal/revocations?after={after}", "identity.revocations"))
            highest = self._copy.take(answer["entries"])
            if not answer["more"]:
                self._copy.complete(asked_s)
                return
            if highest <= after:
                break
            after = highest
        raise ValueError("the revocation list has no end")

    async def _read_keys(self) -> None:
        answer = json.loads(await self._ask("/internal/keys", "identity.keys"))
        keys: dict[str, PublicKey] = {}
        for jwk in answer["keys"]:
            try:
                key = PublicKey.from_jwk(jwk)
            except BadKey as error:
                _log.warning("a published key is left out: %s", error)
                continue
            keys[key.kid] = key
        if not keys:
            raise ValueError("no key is published")
        self._use_keys(keys)
        self._keys_known = True
