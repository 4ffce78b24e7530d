"""What interop-svc is told by its environment."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """The common settings; neither outside systems nor peers."""
