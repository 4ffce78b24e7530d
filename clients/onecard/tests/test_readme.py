"""The examples of the README run as they stand there."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[1] / "README.md"


def examples() -> list[list[str]]:
    """The words of every `onecard …` in the README's shell blocks, without what the shell itself does."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("onecard ")]
    return [shlex.split(line)[1:] for line in lines]


async def test_the_examples_run_on_a_cell(cell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(cell.journal_keys("card"), tmp_path / ".onecard/330000/keys/card/journal/public/card")
    shutil.copy2(cell.operator, tmp_path / ".onecard/operator.json")
    assert len(examples()) == 7
    for words in examples():
        words, _, into = (words, None, None) if ">" not in words else (words[: words.index(">")], ">", words[-1])
        result = await cell.onecard(*words, env={"ONECARD_OPERATOR": ".onecard/operator.json"})
        assert result.exit_code == 0, (words, result.output)
        if into:
            keep(tmp_path / into, result.stdout)


def keep(file: Path, content: str) -> None:
    file.write_text(content)


def test_it_runs_as_a_module() -> None:
    shown = subprocess.run([sys.executable, "-m", "onecard", "--help"], capture_output=True, text=True, check=True)
    assert all(name in shown.stdout for name in ("status", "doctor", "set-aside", "journal", "ledger"))
