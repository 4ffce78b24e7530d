"""The signals that tell the runner to stop, and a wait that any signal interrupts.

Invariant: a handler only notes; everything else happens in the main loop. Handlers are installed explicitly,
because a runner started in the background by a script inherits SIGINT ignored.
"""

import select
import signal
import socket
import time
from contextlib import suppress
from types import FrameType

# Whoever ends a whole group of processes often signals us twice for one request.
SAME_REQUEST_S = 1.0


class Signals:
    """Notes requests to stop; a second one, a second later or more, means: at once."""

    def __init__(self) -> None:
        self._first_at: float | None = None
        self._again = False
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        # Every signal, SIGCHLD included, writes a byte here and so ends a wait.
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)
        signal.signal(signal.SIGCHLD, self._nothing)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
        elif now - self._first_at > SAME_REQUEST_S:
            self._again = True

    def _nothing(self, number: int, frame: FrameType | None) -> None:
        return None

    def stop_asked(self) -> bool:
        return self._first_at is not None

    def hurry_asked(self) -> bool:
        return self._again

    def wait(self, at_most_s: float) -> None:
        """Return at the next signal, or when the time is over."""
        select.select([self._read], [], [], at_most_s)
        with suppress(BlockingIOError):
            while self._read.recv(4096):
                pass
