"""Lets the tests here import the programs beside them, and those of tests/contracts that read the same promises."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE, HERE.with_name("contracts")):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
