"""`python -m simulators`: the outside world of a cell, as one process."""

from chassis import logs
from chassis.serving import run, serve
from simulators.app import create_app
from simulators.settings import load


async def ready() -> str | None:
    """Everything is in memory before the port opens."""
    return None


def main() -> None:
    settings = load()
    logs.configure("simulators", settings.log_level)
    app = create_app(settings)
    run(
        serve(
            app,
            host=settings.host,
            port=settings.port,
            health_host=settings.health_host,
            health_port=settings.health_port,
            ready=ready,
        )
    )


if __name__ == "__main__":
    main()
