"""The static pages, and the settings without which nothing starts."""

import asyncio
import sys
from pathlib import Path

import pytest

from gateway.pages import PagesError, read_pages
from gateway.settings import SettingsError, read_settings
from gateway.testing import Door

GOOD = {
    "ONECARD_CELL": "330000",
    "ONECARD_PUBLIC_URL": "http://localhost:8080",
    "ONECARD_PORT": "8080",
    "ONECARD_HEALTH_PORT": "24141",
    "ONECARD_KEYS": "/keys",
    "ONECARD_PEERS": '{"identity":"http://h:1","card":"http://h:2","payment":"http://h:3","scenario":"http://h:4",'
    '"interop":"http://h:5"}',
}


def test_pages_are_found_by_the_path_that_people_write(tmp_path: Path) -> None:
    (tmp_path / "docs" / "assets").mkdir(parents=True)
    for name in ("docs/index.html", "docs/problems.html", "docs/assets/try.js", "openapi.json", "docs/.hidden.html"):
        (tmp_path / name).write_text("x")
    (tmp_path / "docs" / "script.py").write_text("x")

    pages = read_pages(tmp_path)

    expected = {"/", "/assets/landing.css", "/docs", "/docs/problems", "/docs/assets/try.js", "/openapi.json"}
    assert set(pages) == expected


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PagesError, match="There is no folder of pages"):
        read_pages(tmp_path / "none")


async def test_a_page_is_served_with_its_policy_and_only_once(door: Door) -> None:
    reply = await door.get("/")

    assert reply.status == 200
    assert "text/html" in reply.headers["content-type"]
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert (await door.get("/", If_None_Match=reply.headers["etag"])).status == 304
    head = await door.send("HEAD", "/")
    assert (head.status, head.headers["content-length"]) == (200, str(len(reply.body)))
    assert not door.services.seen


@pytest.mark.parametrize("path", ["/index.html", "/assets", "/assets/", "/pages.py", "/assets/landing.css/x"])
async def test_no_other_file_is_served(door: Door, path: str) -> None:
    assert (await door.get(path)).status == 404


def test_good_settings_are_read() -> None:
    settings = read_settings(GOOD | {"ONECARD_LIMIT_IN_FLIGHT": "7"})

    assert (settings.port, settings.peers["card"], settings.limits.in_flight) == (8080, ("h", 2), 7)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ONECARD_CELL": ""}, "ONECARD_CELL is not set."),
        ({"ONECARD_CELL": "33"}, "ONECARD_CELL must be six digits"),
        ({"ONECARD_PUBLIC_URL": "http://x/y"}, "ONECARD_PUBLIC_URL must be"),
        ({"ONECARD_PORT": "0"}, "ONECARD_PORT must be a port"),
        ({"ONECARD_PEERS": "{"}, "ONECARD_PEERS is not JSON."),
        ({"ONECARD_PEERS": "{}"}, "ONECARD_PEERS must name the base URL of each"),
        ({"ONECARD_PEERS": GOOD["ONECARD_PEERS"].replace("http://h:2", "https://h/x")}, "card must be http://"),
        ({"ONECARD_PEERS": GOOD["ONECARD_PEERS"].replace("h:2", "h:x")}, "the port of card is not a number"),
        ({"ONECARD_ENV": "prod"}, "ONECARD_ENV must be one of"),
        ({"ONECARD_ENV": "production", "ONECARD_CLOCK_OFFSET_S": "5"}, "refused in production"),
        ({"ONECARD_LIMIT_IN_FLIGHT": "-1"}, "ONECARD_LIMIT_IN_FLIGHT must be greater than 0"),
        ({"ONECARD_LIMIT_IN_FLIGHT": "x"}, "ONECARD_LIMIT_IN_FLIGHT must be a number"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(change: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence.replace(".", r"\.").replace("(", r"\(")):
        read_settings(GOOD | change)


async def test_a_process_that_cannot_start_says_why_and_shows_no_traceback(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=GOOD | {"ONECARD_KEYS": str(tmp_path)}, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()

    assert process.returncode == 1
    assert errors.decode().startswith("The gateway does not start: There is no folder of keys")
    assert len(errors.splitlines()) == 1


def resident(pid: int) -> int | None:
    """Memory of a process in kB, where the kernel tells."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    return int(next(line for line in status.read_text().splitlines() if line.startswith("VmRSS")).split()[1])


async def test_the_process_is_small_and_imports_none_of_the_heavy_libraries(door: Door) -> None:
    if (resident_kb := resident(door.process.pid)) is not None:
        assert resident_kb < 70_000
    heavy = "{'pydantic', 'fastapi', 'sqlalchemy', 'starlette', 'nats'}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import sys, gateway.__main__; sys.exit(len({heavy} & set(sys.modules)))"
    )
    assert await process.wait() == 0
