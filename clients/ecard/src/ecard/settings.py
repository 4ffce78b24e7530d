"""What the e-card page is told by its environment; it has no store and no private door."""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """`ONECARD_*` variables."""

    model_config = SettingsConfigDict(env_prefix="ONECARD_", frozen=True, extra="ignore")

    public_url: str = Field(pattern=r"^https?://[^/]+$")  # the gateway, as everybody reaches it
    ecard_url: str = Field(pattern=r"^https?://[^/]+$")  # this page, as the phone reaches it
    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    health_host: str = ""  # where the second port listens; `host` unless given
    health_port: int = Field(ge=1, le=65535)
    keys: Path  # the folder of this process's keys; `field` seals the sessions
    clients: Path  # where `ecard.json` lies: the credentials of this channel
    log_level: str = "info"


def load() -> Settings:
    """Read the settings; SystemExit with one sentence when something is missing."""
    try:
        return Settings()
    except ValidationError as wrong:
        names = ", ".join(f"ONECARD_{str(error['loc'][0]).upper()}" for error in wrong.errors(include_input=False))
        raise SystemExit(f"The settings are not complete: {names}.") from None


class NotRegisteredYet(Exception):
    """This channel has no credentials yet: an operator registers it first."""


@dataclass(frozen=True)
class Credentials:
    """What this channel was given when it was registered."""

    client_id: str
    client_secret: str


def read_credentials(clients: Path) -> Credentials:
    """Read `ecard.json`; raises NotRegisteredYet."""
    try:
        kept = json.loads((clients / "ecard.json").read_text("utf-8"))
        return Credentials(kept["client_id"], kept["client_secret"])
    except (OSError, ValueError, KeyError) as missing:
        raise NotRegisteredYet from missing
