"""The data folder (`.onecard`, or ONECARD_HOME): who may use it, and how it is wiped.

Invariant: one runner at a time, held by a lock that its death releases; nothing is ever removed from a folder that
is not one of ours.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onecard_local.refusals import CannotStart

LOCK = "runner.lock"  # also the mark of a data folder


@contextmanager
def hold_home(home: Path) -> Iterator[None]:
    """Hold the data folder alone; make it when it is new."""
    if home.is_dir() and any(home.iterdir()) and not (home / LOCK).exists():
        raise CannotStart(f"{home} is neither empty nor a data folder of One Card; set ONECARD_HOME to another folder.")
    open_passage(home)
    descriptor = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            who = lock.read().strip() or "unknown"
            raise CannotStart(f"A runner is already using {home} (process {who}); stop it first.") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def open_passage(folder: Path) -> None:
    """Make a folder for us alone; as root others may pass through, because PostgreSQL then runs as `nobody`."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def wipe_home(home: Path) -> bool:
    """Remove a data folder with everything in it; false when there is none."""
    if not home.exists():
        return False
    if not (home / LOCK).exists():
        raise CannotStart(f"{home} is no data folder of One Card; nothing was removed.")
    with hold_home(home):
        for pointer in home.glob("*/postgres/elsewhere"):
            if pointer.is_symlink():
                shutil.rmtree(pointer.readlink(), ignore_errors=True)
        for entry in home.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != LOCK:
                entry.unlink()
    shutil.rmtree(home)
    return True
