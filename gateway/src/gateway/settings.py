"""Environment -> settings of the gateway, as a plain dataclass: pydantic would cost a fifth of its memory.

Invariant: a gateway that lacks a setting, or holds one that its environment forbids, does not start and says why in
one sentence.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from contracts.edges import SERVICES

_CELL = re.compile(r"[0-9]{6}")
_PUBLIC_URL = re.compile(r"https?://[^/\s?#]+")
_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(Exception):
    """A setting is missing or wrong."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Every bound of the door. Rates are requests per second; a burst is what may come at once."""

    client_rate: float = 2_000.0  # one channel serves a whole city
    client_burst: int = 4_000
    person_rate: float = 50.0
    person_burst: int = 100
    network_rate: float = 200.0  # public routes, by network address
    network_burst: int = 400
    refused_rate: float = 20.0  # tokens that do not verify, by network address: each costs a signature check
    refused_burst: int = 200
    keys_remembered: int = 50_000  # buckets of each kind
    in_flight: int = 1_024  # requests under way in this process
    in_flight_service: int = 512  # of these to one service, so that a slow one leaves room for the others
    connections: int = 8_192
    tokens_cached: int = 10_000
    head_timeout_s: float = 10.0  # first byte of a request until its last header
    body_timeout_s: float = 30.0  # last header until the last byte of the body
    write_timeout_s: float = 30.0  # a client that does not read its answer
    keep_alive_s: float = 15.0
    drain_wait_s: float = 0.3  # answering with "connection: close" before the door shuts
    drain_limit_s: float = 8.0  # requests still under way after this are cut off


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the gateway is told through `ONECARD_*` variables."""

    env: str
    cell: str  # GB/T 2260 code of the province, e.g. 330000
    public_url: str  # issuer and audience; no trailing slash
    host: str
    port: int
    health_host: str
    health_port: int
    keys: Path  # the folder of this process's keys
    peers: Mapping[str, tuple[str, int]]  # service -> host and port
    clock_offset_s: float = 0.0
    log_level: str = "info"
    access_log: bool = True
    pages: Path | None = None  # generated documentation, served as it is
    proxies: int = 0  # trusted proxies in front that append to X-Forwarded-For
    limits: Limits = field(default_factory=Limits)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read and check every setting; SettingsError with one sentence about the first that is wrong."""
    env = _one_of(environment, "ONECARD_ENV", ("sandbox", "production"), "sandbox")
    offset = _number(environment, "ONECARD_CLOCK_OFFSET_S", 0.0)
    if env == "production" and offset:
        raise SettingsError("ONECARD_CLOCK_OFFSET_S is for tests and refused in production.")
    pages = environment.get("ONECARD_PAGES", "")
    host = environment.get("ONECARD_HOST", "127.0.0.1")
    return Settings(
        env=env,
        cell=_shaped(environment, "ONECARD_CELL", _CELL, "six digits, for example 330000"),
        public_url=_shaped(environment, "ONECARD_PUBLIC_URL", _PUBLIC_URL, "http(s)://host[:port] without a path"),
        host=host,
        port=_port(environment, "ONECARD_PORT"),
        health_host=environment.get("ONECARD_HEALTH_HOST", host),
        health_port=_port(environment, "ONECARD_HEALTH_PORT"),
        keys=Path(_required(environment, "ONECARD_KEYS")),
        peers=_peers(environment),
        clock_offset_s=offset,
        log_level=_one_of(environment, "ONECARD_LOG_LEVEL", _LEVELS, "info"),
        access_log=_one_of(environment, "ONECARD_ACCESS_LOG", ("on", "off"), "on") == "on",
        pages=Path(pages) if pages else None,
        proxies=int(_number(environment, "ONECARD_PROXIES", 0)),
        limits=_limits(environment),
    )


def _limits(environment: Mapping[str, str]) -> Limits:
    """Each bound may be set as ONECARD_LIMIT_<NAME>."""
    given: dict[str, float | int] = {}
    for name, default in vars(Limits()).items():
        variable = f"ONECARD_LIMIT_{name.upper()}"
        if variable in environment:
            value = _number(environment, variable, 0.0)
            if value <= 0:
                raise SettingsError(f"{variable} must be greater than 0.")
            given[name] = int(value) if isinstance(default, int) else value
    return Limits(**given)  # type: ignore[arg-type]  # the dataclass mixes int and float fields


def _peers(environment: Mapping[str, str]) -> dict[str, tuple[str, int]]:
    try:
        peers = json.loads(_required(environment, "ONECARD_PEERS"))
    except ValueError:
        raise SettingsError("ONECARD_PEERS is not JSON.") from None
    if not isinstance(peers, dict) or not set(SERVICES) <= set(peers):
        raise SettingsError(f"ONECARD_PEERS must name the base URL of each of {', '.join(SERVICES)}.")
    addresses: dict[str, tuple[str, int]] = {}
    for service in SERVICES:
        try:
            url = urlsplit(str(peers[service]))
            port = url.port or 80
        except ValueError:
            raise SettingsError(f"ONECARD_PEERS: the port of {service} is not a number.") from None
        if url.scheme != "http" or not url.hostname or url.path not in ("", "/"):
            raise SettingsError(f"ONECARD_PEERS: {service} must be http://host:port without a path.")
        addresses[service] = (url.hostname, port)
    return addresses


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set.")
    return value


def _shaped(environment: Mapping[str, str], name: str, shape: re.Pattern[str], wanted: str) -> str:
    value = _required(environment, name)
    if not shape.fullmatch(value):
        raise SettingsError(f"{name} must be {wanted}.")
    return value


def _one_of(environment: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = environment.get(name, default)
    if value not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}.")
    return value


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(environment.get(name, default))
    except ValueError:
        raise SettingsError(f"{name} must be a number.") from None


def _port(environment: Mapping[str, str], name: str) -> int:
    text = _required(environment, name)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise SettingsError(f"{name} must be a port from 1 to 65535.")
    return int(text)
