"""Serve an ASGI app and its second port in one loop, and stop in order when told to.

SIGTERM or SIGINT: readiness goes first, then what is under way is finished within a bound, then the process ends.
"""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any

import uvicorn
import uvloop

from chassis.health import Ready, health_app

DRAIN_S = 10


class _Server(uvicorn.Server):
    """A uvicorn server that leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _server(app: Any, host: str, port: int, **options: Any) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=options.pop("http", "httptools"),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
            **options,
        )
    )


async def serve(
    app: Any, *, host: str, port: int, health_port: int, ready: Ready, health_host: str = "", **options: Any
) -> None:
    """Serve `app` on `port` and its health on `health_port` until a signal says stop.

    `health_host` keeps the second port off the address that the public reaches; it is `host` unless given.
    """
    stopping = asyncio.Event()

    async def ready_unless_stopping() -> str | None:
        return "stopping" if stopping.is_set() else await ready()

    main = _server(app, host, port, **{"lifespan": "on"} | options)
    health = _server(health_app(ready_unless_stopping), health_host or host, health_port, lifespan="off")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    servers = [asyncio.create_task(main.serve()), asyncio.create_task(health.serve())]
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait([waiting, *servers], return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    main.should_exit = True
    await asyncio.wait(servers[:1])
    health.should_exit = True
    await asyncio.wait(servers)
    for server in servers:
        server.result()
    if not main.started:
        raise SystemExit(1)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run the process's main coroutine on uvloop."""
    uvloop.run(main)
