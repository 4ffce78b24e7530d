"""Reads every refusal from the source and holds it against the error catalogue of `contracts.problems`.

Protects the words: a code without an entry would reach a citizen without a sentence, an entry without a code is a
promise that nobody keeps.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.problems.problem import Problem

STATUS_OF_BASE = {
    "BadRequest": 400,
    "Unauthenticated": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "Conflict": 409,
    "TooLarge": 413,
    "Unprocessable": 422,
    "TooMany": 429,
    "Unavailable": 503,
}
ROOT_OF_ALL = "Refusal"
CATALOGUE_FOLDER = "contracts/src/contracts/problems/"


@dataclass(frozen=True, order=True, kw_only=True)
class Declared:
    """A refusal as it stands in the source."""

    name: str
    code: str | None  # None: not a literal
    status: int | None  # that of its base; None: derives from Refusal itself
    place: str


def shipped_sources(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Every shipped Python file of the repository, by its path."""
    for path in sorted(root.glob("**/src/**/*.py")):
        relative = path.relative_to(root)
        if not any(part.startswith(".") or part == "node_modules" for part in relative.parts):
            yield relative.as_posix(), ast.parse(path.read_text())


def base_names(node: ast.ClassDef) -> list[str]:
    """`class A(errors.Conflict)` -> ["Conflict"]."""
    return [ast.unparse(base).rpartition(".")[2] for base in node.bases]


def own_code(node: ast.ClassDef) -> tuple[bool, str | None]:
    """Whether the class sets `code`, and to which literal."""
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets = [statement.target]
        if any(isinstance(target, ast.Name) and target.id == "code" for target in targets):
            value = getattr(statement, "value", None)
            literal = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
            return True, literal
    return False, None


def refusals(sources: Iterable[tuple[str, ast.Module]]) -> list[Declared]:
    """Every refusal with a code of its own, wherever it stands; bases are followed by name."""
    classes = [(place, node) for place, tree in sources for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = {node.name: base_names(node) for _, node in classes}
    declared: list[Declared] = []
    for place, node in classes:
        line = ancestry(node.name, bases)
        sets, code = own_code(node)
        if sets and ROOT_OF_ALL in line and node.name != ROOT_OF_ALL:
            status = next((STATUS_OF_BASE[name] for name in line if name in STATUS_OF_BASE), None)
            declared.append(Declared(name=node.name, code=code, status=status, place=f"{place}:{node.lineno}"))
    return declared


def ancestry(name: str, bases: Mapping[str, list[str]]) -> list[str]:
    """The class and all that it derives from, nearest first."""
    line, waiting = [], [name]
    while waiting:
        current = waiting.pop(0)
        if current not in line:
            line.append(current)
            known = bases.get(current, [])
            waiting += [*known, ROOT_OF_ALL] if current in STATUS_OF_BASE else known
    return line


def refusals_without_words(declared: Iterable[Declared], catalogue: Mapping[str, Problem]) -> list[str]:
    """Refusals that the catalogue does not know, or knows under another status."""
    wrong: list[str] = []
    for refusal in declared:
        if refusal.code is None:
            wrong.append(f"{refusal.place}: the code of {refusal.name} is written out, not computed")
        elif (entry := catalogue.get(refusal.code)) is None:
            wrong.append(f"{refusal.place}: {refusal.code} ({refusal.name}) has no entry in contracts.problems")
        elif refusal.status is not None and refusal.status != entry.status:
            wrong.append(f"{refusal.place}: {refusal.code} is a {refusal.status} here, {entry.status} in the catalogue")
    return wrong


def texts_in(sources: Iterable[tuple[str, ast.Module]]) -> set[str]:
    """Every string of the shipped code outside of the catalogue itself."""
    return {
        node.value
        for place, tree in sources
        if not place.startswith(CATALOGUE_FOLDER)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def words_without_refusal(texts: set[str], catalogue: Mapping[str, Problem]) -> list[str]:
    """Entries whose code nothing in the shipped code names."""
    return [f"contracts.problems: nothing answers with {code}" for code in sorted(set(catalogue) - texts)]
