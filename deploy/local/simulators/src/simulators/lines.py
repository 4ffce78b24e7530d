"""What a simulator must not forget: one JSON line for each change, read again at the next start.

Invariant: a line is written before the change is answered; a last line that a kill cut off is dropped. A power cut
may lose the last lines, which is good enough for a simulator.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class LineFile:
    """An append-only file of JSON objects."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        _drop_cut_off_line(file)
        self._file = file
        self._appended = file.open("a", encoding="utf-8")

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield what was written, oldest first."""
        with self._file.open(encoding="utf-8") as opened:
            for line in opened:
                yield json.loads(line)

    def append(self, change: dict[str, Any]) -> None:
        """Write one change."""
        self._appended.write(json.dumps(change, ensure_ascii=False, separators=(",", ":")) + "\n")
        self._appended.flush()

    def close(self) -> None:
        self._appended.close()


def _drop_cut_off_line(file: Path) -> None:
    if not file.exists():
        return
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with file.open("r+b") as opened:
            opened.truncate(whole)
