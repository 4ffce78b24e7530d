"""`make demo`: the story of one card, told against the running cell; status 1 when something is not as told."""

import sys

from onecard_local.callers import Unexpected
from tests.demo.cell import running_cell
from tests.demo.scenes import Demo
from tests.demo.story import Story


def main() -> int:
    """Tell the story."""
    story = Story()
    with running_cell(story, *sys.argv[1:]) as cell:
        try:
            Demo(cell, story).tell()
        except Unexpected as wrong:
            story.say(f"Not as told: {wrong}")
            return 1
    story.end("The story is told, and everything was as told.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
