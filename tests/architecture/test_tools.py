"""Ruff, mypy --strict and "warnings are errors" bite with this repository's configuration, each on a planted file."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = ROOT / "pyproject.toml"

SLOPPY = '''"""Breaks rules of the linter."""

import os
from pathlib import Path
import json


def collect(found=[]):
    print(json.dumps(found))
    try:
        return eval("found")
    except:
        return None
'''

UNTYPED = '''"""Breaks rules of the type checker."""

from pydantic import BaseModel


class Card(BaseModel):
    version: int


def untyped(card):
    return card


def wrong(card: Card) -> str:
    return card.version


def from_anything(value: list) -> None:
    Card()
'''

WARNING = '''"""Warns, and uses a marker that nobody declared."""

import warnings

import pytest


def test_old():
    warnings.warn("use the new one", DeprecationWarning)


async def test_forgotten_await():
    async def pay(): ...
    pay()
'''


def run(*command: str | Path) -> tuple[int, str]:
    """Run a tool of this environment; its status and what it says."""
    words = [sys.executable, "-m", *map(str, command)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_linter_bites(tmp_path: Path) -> None:
    (tmp_path / "sloppy.py").write_text(SLOPPY)
    status, words = run("ruff", "check", "--no-cache", "--config", PYPROJECT, tmp_path)
    assert status == 1, words
    for rule in ("F401", "I001", "B006", "T201", "E722"):
        assert rule in words


def test_the_formatter_bites(tmp_path: Path) -> None:
    (tmp_path / "ragged.py").write_text('"""Ragged."""\nx = {  "a":1 }\n')
    status, words = run("ruff", "format", "--check", "--no-cache", "--config", PYPROJECT, tmp_path)
    assert status == 1, words


def test_the_type_checker_bites(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(UNTYPED)
    cache = ROOT / ".mypy_cache" / "planted"  # kept, because a cold run takes seconds
    status, words = run("mypy", "--config-file", PYPROJECT, "--cache-dir", cache, tmp_path / "planted.py")
    assert status == 1, words
    for code in ("no-untyped-def", "return-value", "type-arg", "call-arg"):
        assert f"[{code}]" in words, words


def test_warnings_are_errors(tmp_path: Path) -> None:
    (tmp_path / "test_planted.py").write_text(WARNING)
    status, words = run("pytest", "-q", "-c", PYPROJECT, "--rootdir", tmp_path, "-p", "no:cacheprovider", tmp_path)
    assert status == 1, words
    assert "2 failed" in words, words


@pytest.mark.parametrize("option", ["--strict-markers", "--strict-config"])
def test_an_undeclared_marker_is_an_error(option: str) -> None:
    """The two options refuse what would otherwise silently select nothing."""
    assert option in PYPROJECT.read_text()
