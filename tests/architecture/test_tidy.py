"""Each of the tidy rules bites; that they hold for this repository is what `make check` asks the program itself.

One small repository breaks every rule once and is read by one run of the program; the same repository without the
breaches is clean, so that nothing but the planted lines is found.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

TIDY = Path(__file__).with_name("tidy.py")
SRC = "card-svc/src/card_svc"

CLEAN = {
    "Makefile": "# What a person types.\ncheck:\n",
    f"{SRC}/__init__.py": "",
    f"{SRC}/__main__.py": '"""The process."""\n\nfrom card_svc.app import start\n\nstart("card_svc.by_name")\n',
    f"{SRC}/app.py": '"""The app."""\n\nfrom .store import load\n\n\ndef start(name: str) -> None:\n    load(name)\n',
    f"{SRC}/store.py": '"""The tables."""\n\n\ndef load(name: str) -> str:\n    return "SELECT 1 FROM t" + name\n',
    f"{SRC}/by_name.py": '"""Named in a string."""\n',
    f"{SRC}/data_shown.py": '"""`data` in a longer name says something."""\n\n\ndef main() -> None:\n    ...\n\n\n'
    'if __name__ == "__main__":\n    main()\n',
    "card-svc/tests/test_app.py": '"""A test."""\n\n\ndef test_it() -> None:\n    assert "SELECT 1 FROM t"\n',
}

LONG_FUNCTION = "\n".join(["", "", "def _long() -> int:", *["    _ = 1"] * 60, "    return 1", ""])
HOST = ".".join(("pypi", "org"))
DONE_LATER = "TO" + "DO"

# rule, file, its content; the line that the breach is in
PLANTED: tuple[tuple[str, str, str, int], ...] = (
    ("function-length", f"{SRC}/store.py", CLEAN[f"{SRC}/store.py"] + LONG_FUNCTION, 8),
    ("file-length", "card-svc/tests/test_long.py", '"""A test."""\n' + "\n" * 400, 401),
    ("file-length", "card-svc/page.js", "// A page.\n" + "\n" * 400, 401),
    ("docstring", "card-svc/tests/test_silent.py", "x = 1\n", 1),
    ("docstring", "card-svc/silent.css", "body { }\n", 1),
    ("docstring", "silent.sh", "#!/bin/sh\nset -e\n", 1),
    ("name", f"{SRC}/card_utils.py", '"""Anything."""\n', 1),
    ("name", f"{SRC}/common/__init__.py", "", 1),
    ("name", f"{SRC}/data.py", '"""Anything."""\n', 1),
    ("unfinished", "docs/later.md", f"# Later\n{DONE_LATER}: the rest\n", 2),
    ("registry", "requirements/all.lock", f"a==1 --hash=x\n# from https://{HOST}/simple\n", 2),
    ("registry", "requirements/dev.lock", "--index-url somewhere\n", 1),
    ("machine-path", "deploy/start.toml", 'a = 1\nfolder = "/home/' + 'someone/cards"\n', 2),
    ("sql", f"{SRC}/api.py", '"""Routes."""\n\nQUERY = "SELECT a FROM b"\n', 3),
    ("sql", f"{SRC}/use_cases.py", '"""Steps."""\n\nfrom sqlalchemy import select\n', 3),
    ("sql", f"{SRC}/adapters.py", '"""World."""\n\nQUERY = f"delete from {1}"\n', 3),
    ("sleep", "card-svc/tests/test_nap.py", '"""A test."""\n\nimport time\n\ntime.sleep(1)\n', 5),
    ("sleep", "card-svc/tests/test_doze.py", '"""A test."""\n\nfrom time import sleep\n', 3),
    ("skip", "card-svc/tests/test_left.py", '"""A test."""\n\nimport pytest\n\npytestmark = pytest.mark.skip\n', 5),
    ("skip", "card-svc/tests/test_out.py", '"""A test."""\n\nimport pytest\n\npytest.xfail("later")\n', 5),
    ("dead-file", f"{SRC}/forgotten.py", '"""Nobody imports it."""\n', 1),
    ("dead-file", "card-svc/tests/factories.py", '"""No test imports it."""\n', 1),
    ("dead-function", f"{SRC}/app.py", CLEAN[f"{SRC}/app.py"] + "\n\ndef unused() -> None:\n    ...\n", 10),
    ("dead-function", f"{SRC}/by_name.py", '"""Named."""\n\n\nclass _A:\n    def idle(self) -> None: ...\n', 5),
)


def write_tree(root: Path, files: Mapping[str, str]) -> None:
    """Write a git work tree; nothing need be committed, what git would add is read too."""
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def tidy(root: Path) -> tuple[int, list[str]]:
    """Run the program; its status and its lines."""
    run = subprocess.run(
        [sys.executable, str(TIDY), str(root)], capture_output=True, text=True, timeout=60, check=False
    )
    assert not run.stderr, run.stderr
    return run.returncode, run.stdout.splitlines()


def test_a_clean_tree_is_found_clean(tmp_path: Path) -> None:
    write_tree(tmp_path, CLEAN)
    assert tidy(tmp_path) == (0, [])


def test_what_git_ignores_is_nobody_s_business(tmp_path: Path) -> None:
    write_tree(tmp_path, CLEAN | {".gitignore": "build/\n", "build/utils.py": "x = 1\n"})
    assert tidy(tmp_path) == (0, [])


@pytest.fixture(scope="module")
def untidy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every breach at once, as the program names them."""
    root = tmp_path_factory.mktemp("untidy")
    write_tree(root, CLEAN | {path: text for _, path, text, _ in PLANTED})
    status, lines = tidy(root)
    assert status == 1
    return lines


@pytest.mark.parametrize(("rule", "path", "text", "line"), PLANTED, ids=[f"{p[0]}-{p[1]}" for p in PLANTED])
def test_a_planted_breach_is_named(untidy: list[str], rule: str, path: str, text: str, line: int) -> None:
    assert text or path.endswith("__init__.py")
    assert [found for found in untidy if found.startswith(f"{path}:{line}: [{rule}] ")], "\n".join(untidy)


def test_every_rule_of_the_program_is_broken_by_something(untidy: list[str]) -> None:
    named = {line.partition("[")[2].partition("]")[0] for line in untidy}
    assert named == {rule for rule, *_ in PLANTED}
