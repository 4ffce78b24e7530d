"""The process: `python -m gateway`."""

import os
import sys

from chassis import logs
from chassis.keys import KeyFolderError
from chassis.serving import run, serve
from gateway.app import create_app
from gateway.pages import PagesError
from gateway.protocol import edge_protocol
from gateway.routes import RouteFileError
from gateway.settings import SettingsError, read_settings


def main() -> None:
    """Serve until a signal says stop; one sentence and status 1 when that cannot begin."""
    try:
        settings = read_settings(os.environ)
        app = create_app(settings)
    except (SettingsError, RouteFileError, PagesError, KeyFolderError) as error:
        sys.exit(f"The gateway does not start: {error}")
    logs.configure("gateway", settings.log_level)
    app.measures.register()
    run(
        serve(
            app,
            host=settings.host,
            port=settings.port,
            health_host=settings.health_host,
            health_port=settings.health_port,
            ready=app.ready,
            http=edge_protocol(settings.limits, settings.public_url),
            timeout_keep_alive=int(settings.limits.keep_alive_s),
            proxy_headers=False,
            interface="asgi3",
        )
    )


if __name__ == "__main__":
    main()
