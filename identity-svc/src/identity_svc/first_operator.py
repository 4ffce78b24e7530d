"""Registers the operator client that registers all others: `python -m identity_svc.first_operator`, once per cell.

Prints {"client_id", "client_secret"} the first time and {"client_id"} ever after: the secret is stored nowhere.
"""

import asyncio
import json
import sys

from chassis.runtime import open_runtime
from chassis.settings import load
from identity_svc.app import client_desk, token_desk
from identity_svc.clients.use_cases import FIRST_OPERATOR, register_first_operator
from identity_svc.settings import Settings


async def first_operator(settings: Settings) -> dict[str, str]:
    """Register the first operator if there is none, and return what may be said of it."""
    runtime = open_runtime("identity", settings)
    try:
        async with runtime.workshop.begin() as work:
            secret = await register_first_operator(client_desk(runtime, token_desk(runtime)), work)
    finally:
        await runtime.close()
    return {"client_id": FIRST_OPERATOR} | ({"client_secret": secret} if secret else {})


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(first_operator(load(Settings)))) + "\n")
