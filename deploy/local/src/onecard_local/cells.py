"""A cell's declaration: which province, at which addresses, and where on this machine its things lie.

Invariant: every address that the runner hands to a process or prints comes from here.
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from onecard_local.ports import BASES, ECARD_PUBLIC, GATEWAY_PUBLIC, SERVICES, CellPorts
from onecard_local.refusals import CannotStart

NAMES = {"330000": "Zhejiang", "320000": "Jiangsu"}
LOOPBACK = "127.0.0.1"
OUTSIDE = {
    "register": "register",
    "bank": "bank",
    "sms": "sms",
    "face": "face",
    "card_maker": "card-maker",
}
"""Outside system -> the path prefix at which the simulators play it."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A province's installation on this machine."""

    code: str  # GB/T 2260, e.g. 330000
    name: str
    home: Path  # ONECARD_HOME
    listen: str  # the address that the gateway and the e-card page bind
    ports: CellPorts
    gateway_port: int
    ecard_port: int

    @property
    def folder(self) -> Path:
        return self.home / self.code

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def keys_of(self, process: str) -> Path:
        return self.folder / "keys" / process

    @property
    def public_url(self) -> str:
        return f"http://{self._public_host}:{self.gateway_port}"

    @property
    def ecard_url(self) -> str:
        return f"http://{self._public_host}:{self.ecard_port}"

    @property
    def simulators_url(self) -> str:
        """Where the outside world is played; a phone reaches the face check and its text messages there too."""
        host = LOOPBACK if self.listen == LOOPBACK else self._public_host
        return f"http://{host}:{self.ports.simulators}"

    @property
    def gate_url(self) -> str:
        return f"{self.simulators_url}/gate"

    @property
    def nats_url(self) -> str:
        return f"nats://{LOOPBACK}:{self.ports.nats}"

    def service_url(self, service: str) -> str:
        return f"http://{LOOPBACK}:{self.ports.service(service)}"

    @property
    def outside(self) -> dict[str, str]:
        return {system: f"{self.simulators_url}/{prefix}" for system, prefix in OUTSIDE.items()}

    @property
    def _public_host(self) -> str:
        if self.listen == LOOPBACK:
            return "localhost"
        return f"[{self.listen}]" if ":" in self.listen else self.listen

    def needed_ports(self) -> list[tuple[str, int, str]]:
        """Every (address, port, who needs it) of the cell."""
        needed = [
            (self.listen, self.gateway_port, "the gateway"),
            (self.listen, self.ecard_port, "the e-card page"),
            (LOOPBACK, self.ports.gateway_health, "the gateway's health port"),
            (LOOPBACK, self.ports.ecard_health, "the e-card page's health port"),
            (LOOPBACK, self.ports.postgres, "PostgreSQL"),
            (LOOPBACK, self.ports.nats, "NATS"),
            (LOOPBACK, self.ports.nats_monitoring, "the monitoring of NATS"),
            (self.listen, self.ports.simulators, "the simulators"),
            (LOOPBACK, self.ports.simulators_health, "the simulators' health port"),
        ]
        for service in SERVICES:
            needed.append((LOOPBACK, self.ports.service(service), f"{service}-svc"))
            needed.append((LOOPBACK, self.ports.service_health(service), f"the health port of {service}-svc"))
        return needed


def declare_cell(
    home: Path,
    *,
    code: str = "330000",
    listen: str | None = None,
    base: int | None = None,
    gateway_port: int | None = None,
    ecard_port: int | None = None,
) -> Cell:
    """Return the cell of this code; ports come from the table unless a test asks for others."""
    if code not in NAMES:
        raise CannotStart(f"There is no cell {code} here; these are declared: {', '.join(NAMES)}.")
    return Cell(
        code=code,
        name=NAMES[code],
        home=home,
        listen=address_to_listen_on(listen or LOOPBACK),
        ports=CellPorts(BASES[code] if base is None else base),
        gateway_port=GATEWAY_PUBLIC[code] if gateway_port is None else gateway_port,
        ecard_port=ECARD_PUBLIC if ecard_port is None else ecard_port,
    )


def address_to_listen_on(text: str) -> str:
    """One address that a phone can open: it goes into the issuer and the redirect addresses, so 0.0.0.0 will not do."""
    if text == "localhost":
        return LOOPBACK
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise CannotStart(f"LISTEN={text} is not an IP address; give this machine's own, e.g. 192.168.1.20.") from None
    if address.is_unspecified or address.is_multicast:
        raise CannotStart(
            f"LISTEN={text} is no address that a phone could open; give this machine's own, e.g. 192.168.1.20."
        )
    return str(address)
