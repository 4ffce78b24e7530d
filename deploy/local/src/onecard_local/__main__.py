"""`python -m onecard_local run | clean`: what the Makefile calls once the environment is installed."""

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from onecard_local.cells import declare_cell
from onecard_local.home import wipe_home
from onecard_local.refusals import CannotStart
from onecard_local.run import run
from onecard_local.telling import Telling


def main(words: list[str] | None = None) -> int:
    arguments = parse(words)
    # Files of the runner and of its children are for their owner only, whatever the terminal's mask says.
    os.umask(0o077)
    # A log, a pipe and CI get whole lines; a terminal folds at its own width.
    console = Console(width=None if sys.stdout.isatty() else 120, soft_wrap=not sys.stdout.isatty())
    telling = Telling(console)
    home = Path(os.environ.get("ONECARD_HOME") or ".onecard").expanduser().absolute()
    try:
        if arguments.what == "clean":
            telling.say(f"{home} was removed." if wipe_home(home) else f"There is no data folder {home}.")
            return 0
        cell = declare_cell(
            home,
            code=arguments.cell,
            listen=arguments.listen,
            base=arguments.base,
            gateway_port=arguments.gateway_port,
            ecard_port=arguments.ecard_port,
        )
        run(cell, telling, servers_only=arguments.servers_only)
    except CannotStart as why:
        telling.refuse(str(why))
        return 1
    return 0


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="onecard_local", description=__doc__)
    parser.add_argument("what", choices=("run", "clean"))
    parser.add_argument("--cell", default="330000", help="GB/T 2260 code of the province")
    parser.add_argument("--listen", help="address of this machine for the gateway and the e-card page")
    for port in ("base", "gateway-port", "ecard-port"):
        parser.add_argument(f"--{port}", type=int, help="another port, for tests beside a running cell")
    parser.add_argument("--servers-only", action="store_true", help="PostgreSQL and NATS, no services")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
