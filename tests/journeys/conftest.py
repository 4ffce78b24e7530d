"""A whole cell for the journeys: started as `make run` starts it, on ports and a data folder of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.demo.cell import RunningCell, cell_of_its_own


@pytest.fixture(scope="session")
def running_cell(open_folder: Callable[[str], Path]) -> Iterator[RunningCell]:
    """The cell, ready and seeded; it ends with the session."""
    with cell_of_its_own(open_folder("cell")) as cell:
        yield cell
