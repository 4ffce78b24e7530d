"""The demo's story, told against a running cell: everything is as told."""

import io

from rich.console import Console

from tests.demo.cell import RunningCell
from tests.demo.scenes import Demo
from tests.demo.story import Story


def test_the_story_of_one_card_is_as_told(running_cell: RunningCell) -> None:
    told = io.StringIO()
    story = Story(Console(file=told, width=200))
    Demo(running_cell, story).tell()
    assert story.calls > 30
    assert "card-reported-lost" in told.getvalue()
