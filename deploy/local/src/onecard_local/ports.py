"""The one table of ports: every port of a cell but the public two is its base plus a fixed distance, loopback only.

Invariant: no other file of the repository computes a port.
"""

import errno
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from onecard_local.refusals import CannotStart

SERVICES = ("identity", "card", "payment", "scenario", "interop")
BASES = {"330000": 24100, "320000": 24300}
GATEWAY_PUBLIC = {"330000": 8080, "320000": 8081}
ECARD_PUBLIC = 8090
REASONS = {
    errno.EADDRINUSE: "is taken",
    errno.EADDRNOTAVAIL: "cannot be used because this machine does not have that address",
    errno.EACCES: "may only be used by root",
}
# Test cells lie below 32768, where the kernel begins to hand out ports by itself.
TEST_BASES = range(25100, 32700, 200)


@dataclass(frozen=True)
class CellPorts:
    """Every port of one cell, by name."""

    base: int

    @property
    def nats(self) -> int:
        return self.base + 10

    @property
    def nats_monitoring(self) -> int:
        return self.base + 12

    @property
    def postgres(self) -> int:
        return self.base + 20

    def service(self, name: str) -> int:
        return self.base + 30 + 2 * SERVICES.index(name)

    def service_health(self, name: str) -> int:
        return self.service(name) + 1

    @property
    def gateway_health(self) -> int:
        return self.base + 41

    @property
    def ecard_health(self) -> int:
        return self.base + 43

    @property
    def simulators(self) -> int:
        return self.base + 50

    @property
    def simulators_health(self) -> int:
        return self.base + 51

    @property
    def spare(self) -> range:
        """Ports for whatever else a test starts."""
        return range(self.base + 100, self.base + 200)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Can a server listen there now?"""
    return why_not_free(port, host) is None


def why_not_free(port: int, host: str = "127.0.0.1") -> str | None:
    """None when a server can listen there, else the reason; SO_REUSEADDR as servers set it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return REASONS.get(error.errno or 0, f"cannot be used ({error.strerror})")
        return None


class TestCell:
    """A range of ports that no other test session of this machine uses, as long as this object lives."""

    __test__ = False  # The name begins with "Test", but it is none.

    def __init__(self, ports: CellPorts, claim: IO[str]) -> None:
        self.ports = ports
        self._claim = claim
        self._spare = self._free_spares()

    def free_port(self) -> int:
        """A port that nobody listens on; never the same one twice."""
        for port in self._spare:
            return port
        raise CannotStart(f"All spare ports of the test cell at {self.ports.base} are used up.")

    def release(self) -> None:
        self._claim.close()

    def _free_spares(self) -> Iterator[int]:
        while True:
            found = [port for port in self.ports.spare if is_free(port)]
            if not found:
                return
            yield from (port for port in found if is_free(port))


def claim_test_cell() -> TestCell:
    """Claim the first free range; a lock on a file holds it, so two sessions at once never share one."""
    for base in TEST_BASES:
        lock = Path(tempfile.gettempdir()) / f"onecard-test-cell-{base}.lock"
        try:
            # No truncation and no following: the folder belongs to everyone.
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            continue
        claim = os.fdopen(descriptor, "r+")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            claim.close()
            continue
        if all(is_free(port) for port in range(base, base + 60)):
            return TestCell(CellPorts(base), claim)
        claim.close()
    raise CannotStart("No free range of ports for a test cell was found between 25100 and 32700.")
