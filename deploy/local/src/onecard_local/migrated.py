"""Which sources each database was last migrated with, so that a warm start need not ask Alembic (2 s on two cores).

Invariant: any change of a service's own or shared sources, or of its lock file, runs its migrations again.
"""

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

from onecard_local.cells import Cell
from onecard_local.keys import open_folder

SHARED = ("chassis", "contracts")


class Migrated:
    """Service -> fingerprint of the sources that its database was migrated with."""

    def __init__(self, cell: Cell) -> None:
        self._file = cell.folder / "migrated.json"
        self._done: dict[str, str] = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._shared = "".join(fingerprint(package) for package in SHARED)

    def is_current(self, service: str, package: str) -> bool:
        return self._done.get(service) == self._shared + fingerprint(package)

    def note(self, service: str, package: str) -> None:
        self._done[service] = self._shared + fingerprint(package)
        open_folder(self._file.parent)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self._done, indent=1))
        new.rename(self._file)


def fingerprint(package: str) -> str:
    """A hash over name, size and time of each source file: enough to see an edit, and quick."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    digest = hashlib.sha256()
    root = Path(spec.origin).parent
    for file in sorted(root.rglob("*")):
        if file.suffix in (".py", ".sql"):
            status = file.stat()
            digest.update(f"{file.relative_to(root)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
