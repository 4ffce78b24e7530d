"""The whole error catalogue: every code that any part of the platform answers with, each exactly once."""

from contracts.problems import card, everywhere, identity, interop, payment, scenario
from contracts.problems.problem import Problem


def _by_code() -> dict[str, Problem]:
    entries: dict[str, Problem] = {}
    for module in (everywhere, identity, card, payment, scenario, interop):
        for problem in module.PROBLEMS:
            if problem.code in entries:
                raise ValueError(f"the code {problem.code} stands twice in the catalogue")
            entries[problem.code] = problem
    return entries


CATALOGUE: dict[str, Problem] = _by_code()
