"""Environment -> typed settings, the same for every service; no default for any secret.

Invariant: a process that lacks a setting, or holds one that its environment forbids, does not start and says why
in one sentence.
"""

from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Chosen = TypeVar("Chosen", bound="ServiceSettings")


class ServiceSettings(BaseSettings):
    """What every service is told through `ONECARD_*` variables."""

    model_config = SettingsConfigDict(env_prefix="ONECARD_", frozen=True, extra="ignore")

    env: Literal["sandbox", "production"] = "sandbox"
    cell: str = Field(pattern=r"^[0-9]{6}$")  # GB/T 2260 code of the province, e.g. 330000
    public_url: str = Field(pattern=r"^https?://[^/]+$")  # issuer and audience; no trailing slash
    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    health_port: int = Field(ge=1, le=65535)
    keys: Path  # the folder of this process's keys
    database_url: str  # postgresql://…, may be a pooler
    database_direct_url: str | None = None  # leases and locks; the pooled one when it is not a pooler
    nats_url: str
    peers: dict[str, str] = {}  # service -> base URL
    outside: dict[str, str] = {}  # outside system -> base URL
    clock_offset_s: float = 0.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _production_is_strict(self) -> Self:
        if self.env == "production" and self.clock_offset_s:
            raise ValueError("ONECARD_CLOCK_OFFSET_S is for tests and refused in production")
        return self

    @property
    def direct_url(self) -> str:
        """The address for sessions that must keep their own connection (leases, advisory locks)."""
        return self.database_direct_url or self.database_url


def load(shape: type[Chosen]) -> Chosen:
    """Read the settings; raises SystemExit with one sentence per setting that is missing or wrong."""
    try:
        return shape()
    except ValidationError as wrong:
        lines = [
            f"ONECARD_{'_'.join(str(part) for part in error['loc']).upper()}: {error['msg']}"
            for error in wrong.errors(include_input=False)
        ]
        raise SystemExit("The settings are not complete. " + "; ".join(lines)) from None
