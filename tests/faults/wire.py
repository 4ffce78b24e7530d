"""A lying wire between the services and NATS: a TCP proxy that drops, repeats, disorders and bit-flips journal blocks.

Only the payload of blocks on their way to a follower is touched, so what is attacked is the journal, not the
protocol of NATS. Invariant: each message it lets through is a whole one; a broken connection is broken at both ends.
"""

import asyncio
import random
import threading
from collections import Counter, deque
from contextlib import suppress

REMEMBERED = 50
CONNECT_WITHIN_S = 2.0


class Wire:
    """The proxy; runs in a thread of its own between `start` and `stop`."""

    def __init__(self, port: int, nats_port: int, seed: int) -> None:
        self.port = port
        self.lies: Counter[str] = Counter()
        self._nats_port = nats_port
        self._dice = random.Random(seed)
        self._past: deque[bytes] = deque(maxlen=REMEMBERED)
        self.lying = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        """Where the services are told that NATS is."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        assert self._ready.wait(5.0), "the wire does not listen"

    def stop(self) -> None:
        """Cut every connection."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", self.port))
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.close()

    async def _connected(self, service: asyncio.StreamReader, to_service: asyncio.StreamWriter) -> None:
        writers = [to_service]
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                nats, to_nats = await asyncio.open_connection("127.0.0.1", self._nats_port, limit=2**21)
            writers.append(to_nats)
            ways = [
                asyncio.ensure_future(self._as_it_is(service, to_nats)),
                asyncio.ensure_future(self._with_lies(nats, to_service)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, TimeoutError):
            pass
        finally:
            for writer in writers:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    @staticmethod
    async def _as_it_is(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    async def _with_lies(self, nats: asyncio.StreamReader, to_service: asyncio.StreamWriter) -> None:
        """Read what the server says line by line, and what follows a MSG line as one message."""
        held: dict[bytes, list[bytes]] = {}
        while line := await nats.readline():
            if line[:4] != b"MSG ":
                to_service.write(line)
            else:
                words = line.split()
                payload = await nats.readexactly(int(words[-1]) + 2)
                block = self.lying and words[1].endswith(b".block")
                sent = self._lie(b" ".join(words[1:-1]), payload[:-2], held) if block else [line + payload]
                to_service.writelines(sent)
            await to_service.drain()

    def _lie(self, address: bytes, block: bytes, held: dict[bytes, list[bytes]]) -> list[bytes]:
        """Return what arrives instead of this block, as whole messages for the same subscription."""
        # Blocks of other subjects are among the past too: a follower must refuse those of a chain that is not its own.
        self._past.append(block)
        sent, chance = [block], self._dice.random()
        if chance < 0.06:
            lie, sent = "dropped", []
        elif chance < 0.11:
            lie, sent = "repeated", [block, block, self._dice.choice(self._past)]
        elif chance < 0.16:
            lie, sent = "disordered", []
            held.setdefault(address, []).append(block)
        elif chance < 0.21:
            lie, sent = "flipped", [self._flipped(block)]
        else:
            lie = ""
            sent += held.pop(address, [])
        self.lies[lie] += bool(lie)
        return [b"MSG %s %d\r\n%s\r\n" % (address, len(one), one) for one in sent]

    def _flipped(self, block: bytes) -> bytes:
        flipped = bytearray(block)
        flipped[self._dice.randrange(len(flipped))] ^= 1 << self._dice.randrange(8)
        return bytes(flipped)
