"""Reads the catalogue of scenarios, once, when the service starts."""

import tomllib
from importlib.resources import files

from scenario_svc.venues.domain import Catalogue, Scenario


def read_catalogue() -> Catalogue:
    """Return every scenario by its id; a field that is missing or unknown stops the service with its name."""
    raw = tomllib.loads(files("scenario_svc.venues").joinpath("scenarios.toml").read_text("utf-8"))
    return {name: Scenario(id=name, **{"charge_max_fen": None, **fields}) for name, fields in raw.items()}
