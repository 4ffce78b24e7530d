"""Brings the databases of services to their newest revision, one by one: `python -m onecard_local.migrations`.

The same as `python -m <service>_svc.migrate` for each, in one process: five would import the same libraries five times.
"""

import json
import os

from chassis.migrations import migrate


def main() -> None:
    """Migrate what ONECARD_OWNER_URLS names: service -> the address of its database with its owner's role."""
    for service, url in json.loads(os.environ["ONECARD_OWNER_URLS"]).items():
        migrate(f"{service}_svc", url, app_role=f"{service}_app")


if __name__ == "__main__":
    main()
