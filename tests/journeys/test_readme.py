"""The README's calls are run as they stand, against a running cell: only address and folder are this test's own."""

import json
import re
import subprocess
from pathlib import Path

from tests.demo.cell import RunningCell

README = Path(__file__).parents[2] / "README.md"


def shell_blocks() -> list[str]:
    """Every ```sh block, in order."""
    return re.findall(r"^```sh\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_the_first_three_calls_are_answered_as_written(running_cell: RunningCell) -> None:
    blocks = shell_blocks()
    assert len(blocks) == 3
    script = "\necho; echo ----\n".join(["set -euo pipefail", *blocks])
    script = script.replace("http://localhost:8080", running_cell.public_url)
    script = script.replace(".onecard/operator.json", str(running_cell.home / "operator.json"))
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    _, trust_list, _, invariants = ran.stdout.split("----")
    assert json.loads(trust_list)["cell"] == "330000"
    assert json.loads(invariants)["sum_fen"] == 0


def test_what_the_readme_names_is_there() -> None:
    text = README.read_text("utf-8")
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", text):
        assert (README.parent / target).exists(), target
    makefile = (README.parent / "Makefile").read_text("utf-8")
    for target in set(re.findall(r"`?make ([a-z]+)", text)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
