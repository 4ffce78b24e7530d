"""The process of a service: `python -m card_svc`."""

from fastapi import FastAPI

from chassis import logs, serving
from chassis.runtime import Runtime
from chassis.settings import ServiceSettings


def run_service(app: FastAPI) -> None:
    """Serve an app made by `service_app` until told to stop."""
    runtime: Runtime[ServiceSettings] = app.state.runtime
    settings = runtime.settings
    logs.configure(f"{runtime.service}-svc", settings.log_level)
    serving.run(
        serving.serve(
            app,
            host=settings.host,
            port=settings.port,
            health_port=settings.health_port,
            ready=runtime.database_answers,
        )
    )
