"""Faults that are planted on purpose, so that the verdict is known to be able to say no.

They are put into the processes of an attacked cell through Python's own `sitecustomize`, and stand here and not
behind a switch in the services, because no production process may be able to do any of this.
"""

from pathlib import Path

PLANTS = {
    # A journal leader that does not wait for open writers: whoever commits late is never numbered.
    "early-horizon": """
from chassis.journal import horizon
horizon.still_open = lambda waiting, writers: frozenset()
""",
    # A service that forgets which keys it has seen: the second try is a second request.
    "forgetful-keys": """
from sqlalchemy import text
from chassis import idempotency
idempotency._FIND = text(str(idempotency._FIND) + " AND false")
idempotency._INSERT = text(str(idempotency._INSERT) + " ON CONFLICT DO NOTHING")
""",
}


def planted(plant: str, folder: Path) -> Path:
    """Write a plant into a folder that processes are told to look into first."""
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "sitecustomize.py").write_text(PLANTS[plant], "utf-8")
    return folder
