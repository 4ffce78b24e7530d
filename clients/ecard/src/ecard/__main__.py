"""The process of the e-card page: `python -m ecard`."""

from chassis import logs, serving
from ecard.app import create_app, ready
from ecard.settings import load

if __name__ == "__main__":
    settings = load()
    logs.configure("ecard", settings.log_level)
    app = create_app(settings)
    serving.run(
        serving.serve(
            app,
            host=settings.host,
            port=settings.port,
            health_host=settings.health_host,
            health_port=settings.health_port,
            ready=ready,
        )
    )
