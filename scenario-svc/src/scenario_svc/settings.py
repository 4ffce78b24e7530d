"""What scenario-svc is told by its environment."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """The common settings; peers: `payment`, `card`."""
