"""Environment -> settings of the simulators."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

LOCAL = Path(__file__).parents[3]


class SimulatorSettings(BaseSettings):
    """What the one program that plays the outside world is told."""

    model_config = SettingsConfigDict(env_prefix="ONECARD_", frozen=True, extra="ignore")

    # There is no outside world to play in production; a process told so does not start.
    env: Literal["sandbox"] = "sandbox"
    cell: str = Field(default="330000", pattern=r"^[0-9]{6}$")
    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    health_host: str = ""  # where the second port listens; `host` unless given
    health_port: int = Field(ge=1, le=65535)
    public_url: str = Field(default="http://localhost:8080", pattern=r"^https?://[^/]+$")  # the cell's gateway
    state: Path = Path("simulators")  # what must not be forgotten; beside the process unless told otherwise
    sandbox: Path = LOCAL / "sandbox.toml"
    clients: Path | None = None  # folder of client credentials, <key>.json
    card_maker_delay_s: float = Field(default=1.0, ge=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def load() -> SimulatorSettings:
    """Read the settings; SystemExit with one sentence per setting that is missing or wrong."""
    try:
        return SimulatorSettings()
    except ValidationError as wrong:
        lines = [
            f"ONECARD_{'_'.join(str(part) for part in error['loc']).upper()}: {error['msg']}"
            for error in wrong.errors(include_input=False)
        ]
        raise SystemExit("The settings of the simulators are not complete. " + "; ".join(lines)) from None
