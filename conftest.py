"""What every test of the repository may ask for: a real PostgreSQL, a real NATS, and ports of its own.

Invariant: two test sessions at once, and a running `make run` beside them, never meet.
"""

import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

# Their folders carry the packages' names: under importlib mode the first import of a test would make namespace packages
# of the folders, unless the real packages are there first.
import contracts  # noqa: F401
import gateway  # noqa: F401
from chassis.testing.databases import Databases
from onecard_local.nats import NatsServer
from onecard_local.ports import TestCell, claim_test_cell
from onecard_local.postgres import PostgresServer

LEFT_OUT: Counter[str] = Counter()  # program that is missing here -> tests that need it


# The default of structlog draws every variable of every frame of a defect: minutes, when many requests fail at once.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])


def pytest_configure(config: pytest.Config) -> None:
    """Declare `@pytest.mark.needs("chromium")`: the test needs a program that is not installed with the packages."""
    config.addinivalue_line("markers", "needs(*programs): programs of this machine that the test starts")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave a test out for lack of its program, but never in CI."""
    for marker in item.iter_markers("needs"):
        for program in marker.args:
            if shutil.which(program) is None:
                if os.environ.get("CI"):
                    pytest.fail(f"{program} is not installed, and in CI nothing is left out.", pytrace=False)
                LEFT_OUT[program] += 1
                pytest.skip(f"{program} is not installed here")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out and why."""
    if LEFT_OUT:
        what = ", ".join(f"{count} for lack of {program}" for program, count in LEFT_OUT.items())
        terminalreporter.write_line(f"Left out, because a program is not installed here: {what} (.ci/run installs it).")


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """The session's server, as tests see it."""

    admin_dsn: str  # superuser, database `postgres`
    host: str
    port: int
    server: PostgresServer


@pytest.fixture(scope="session")
def test_cell() -> Iterator[TestCell]:
    """A range of ports that this session alone uses."""
    cell = claim_test_cell()
    yield cell
    cell.release()


@pytest.fixture(scope="session")
def free_port(test_cell: TestCell) -> Callable[[], int]:
    """Gives a port that nobody listens on, each time another."""
    return test_cell.free_port


@pytest.fixture(scope="session")
def postgres(test_cell: TestCell, open_folder: Callable[[str], Path]) -> Iterator[Postgres]:
    """One PostgreSQL for the whole session; tests clone their databases from a template on it."""
    # Tests lose nothing by a power cut, so they need not wait for the disk.
    hurried = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
    server = PostgresServer(open_folder("postgres"), test_cell.ports.postgres, secrets.token_urlsafe(18), hurried)
    with server:
        yield Postgres(admin_dsn=server.dsn, host="127.0.0.1", port=server.port, server=server)


@pytest.fixture(scope="module")
def nats_server(test_cell: TestCell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], NatsServer]]:
    """`nats_server(config_text)` starts a NATS for this module; all that were started end with it."""
    started: list[NatsServer] = []

    def start(config_text: str = "") -> NatsServer:
        folder = tmp_path_factory.mktemp("nats")
        server = NatsServer(folder, test_cell.free_port(), test_cell.free_port(), config_text)
        started.append(server)
        return server.start()

    yield start
    for server in reversed(started):
        server.stop()


@pytest.fixture(scope="session")
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """A temporary folder that another user may enter: as root, PostgreSQL runs as `nobody`."""
    made: list[Path] = []

    def make(name: str) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=f"onecard-{name}-"))
        folder.chmod(0o711)
        made.append(folder)
        return folder

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def databases(postgres: Postgres) -> Databases:
    """`async with databases.fresh("card") as database:` gives a migrated database of card-svc."""
    return Databases(postgres.admin_dsn)
