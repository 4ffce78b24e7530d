"""The tidy rules as a program: `python tests/architecture/tidy.py [ROOT]` names every breach and exits 1.

Protects the tail of the code base: whatever is long, unfinished, dead, misplaced or of one machine only is refused
here before anybody has to read it. `test_tidy.py` beside it breaks each rule once.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deadwood import dead_files, dead_functions

FUNCTION_LINES = 60
FILE_LINES = 400
READ_BY_PEOPLE = {".py", ".js", ".css", ".sh"}
SAYS_NOTHING = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"}
SAYS_NOTHING_ALONE = {"data"}  # "data_shown" says something

# The one file that may leave a test out: the root's conftest, and only where a machine lacks a program that the
# README does not ask for. With CI=true it leaves out nothing.
MAY_SKIP = {"conftest.py"}
# The one place that polls with a pause, always under a bound.
MAY_SLEEP = {"deploy/local/src/onecard_local/children.py"}
# Besides every store.py, the journal and the migrations: the gear under them, and what makes databases and roles.
MAY_SPEAK_SQL = (
    "chassis/src/chassis/database.py",
    "chassis/src/chassis/idempotency.py",
    "chassis/src/chassis/migrations.py",
    "chassis/src/chassis/runtime.py",
    "chassis/src/chassis/testing/",
    "chassis/src/chassis/work.py",
    "deploy/local/src/onecard_local/databases.py",
    "deploy/local/src/onecard_local/postgres.py",
)

# Written in pieces, so that this file does not break its own rules.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b")
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("python" + "hosted", "org"),
        ("npmjs", "org"),
        ("yarnpkg", "com"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("gcr", "io"),
        ("quay", "io"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
        ("jsdelivr", "net"),
        ("unpkg", "com"),
        ("cdnjs", "cloudflare", "com"),
    )
)
INDEX_OPTION = re.compile(r"^\s*--(extra-)?index-url\b")
MACHINE_PATH = re.compile(r"(?<![\w./}<-])(/(home|root|work|Users)/[\w.-]+|[A-Z]:\\Users\\)")
SQL = re.compile(
    r"\s*(SELECT\s|INSERT INTO\s|UPDATE \w+ SET\s|DELETE FROM\s|(CREATE|ALTER|DROP) [A-Z]+ |TRUNCATE |LOCK TABLE |"
    r"GRANT |REVOKE |LISTEN |NOTIFY |WITH (RECURSIVE )?\w+ AS \(|"
    r"select\s.+\sfrom\s|insert into\s|update \w+ set\s|delete from\s)",
    re.DOTALL,
)
SQL_WORDS = {"select", "insert", "update", "delete", "text", "Table", "MetaData"}
SKIPS = {"skip", "skipif", "xfail", "importorskip"}


@dataclass(frozen=True, kw_only=True)
class Breach:
    """One place that breaks one rule."""

    path: str
    line: int
    rule: str
    words: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: [{self.rule}] {self.words}"


@dataclass(frozen=True)
class Source:
    """A text of the repository that could be committed."""

    path: str  # relative to the root, with forward slashes
    text: str

    @property
    def is_python(self) -> bool:
        """Whether the rules about code apply."""
        return self.path.endswith(".py")

    @property
    def in_src(self) -> bool:
        """Whether the file is shipped, as opposed to a test."""
        return "src" in self.path.split("/") and "tests" not in self.path.split("/")

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree of a Python file."""
        return ast.parse(self.text, self.path)

    def breach(self, line: int, rule: str, words: str) -> Breach:
        """Name a breach in this file."""
        return Breach(path=self.path, line=line, rule=rule, words=words)


def texts(root: Path) -> Iterator[Source]:
    """Every text that git tracks or would add, in order; binary files are left out."""
    listing = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in sorted(filter(None, names)):
        path = root / name
        if path.is_symlink() or not path.is_file():  # removed but not yet committed
            continue
        raw = path.read_bytes()
        if b"\0" not in raw:
            yield Source(name, raw.decode())


def long_files(source: Source) -> Iterator[Breach]:
    """A file that does not fit into a reader's head has two jobs."""
    lines = source.text.count("\n")
    if (Path(source.path).suffix in READ_BY_PEOPLE or source.path == "Makefile") and lines > FILE_LINES:
        yield source.breach(FILE_LINES + 1, "file-length", f"{lines} lines, at most {FILE_LINES}")


def long_functions(source: Source) -> Iterator[Breach]:
    """The longest one per cent of the functions is what readers remember."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                words = f"{node.name} has {lines} lines, at most {FUNCTION_LINES}"
                yield source.breach(node.lineno, "function-length", words)


def silent_files(source: Source) -> Iterator[Breach]:
    """The top of a file says what it is responsible for and what it protects."""
    words = "begins without a word about what it is responsible for"
    if source.is_python:
        if source.text.strip() and not ast.get_docstring(source.tree):
            yield source.breach(1, "docstring", words)
    elif Path(source.path).suffix in READ_BY_PEOPLE:
        lines = [line for line in source.text.splitlines() if not line.startswith("#!")]
        if not lines or not lines[0].startswith(("#", "//", "/*")):
            yield source.breach(1, "docstring", words)


def meaningless_names(source: Source) -> Iterator[Breach]:
    """A module that is called after nothing collects everything."""
    if source.is_python:
        for part in source.path.removesuffix(".py").split("/"):
            if SAYS_NOTHING & set(re.split(r"[_-]", part)) or part in SAYS_NOTHING_ALONE:
                yield source.breach(1, "name", f"`{part}` names no subject")


def unfinished(source: Source) -> Iterator[Breach]:
    """What is not done is an issue, not a comment."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield source.breach(number, "unfinished", line.strip()[:80])


def ties_to_one_machine(source: Source) -> Iterator[Breach]:
    """A registry's host or a home folder ties the repository to one network or one machine."""
    for number, line in enumerate(source.text.splitlines(), 1):
        for host in REGISTRIES:
            if re.search(rf"(?<![\w-]){re.escape(host)}\b", line):
                yield source.breach(number, "registry", f"names {host}")
        if INDEX_OPTION.search(line):
            yield source.breach(number, "registry", "pins a package index")
        if found := MACHINE_PATH.search(line):
            yield source.breach(number, "machine-path", f"names {found[0]}")


def docstrings(tree: ast.Module) -> set[int]:
    """The identities of the constants that are documentation."""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, holders)
        for statement in node.body
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    }


def misplaced_sql(source: Source) -> Iterator[Breach]:
    """Only a store speaks SQL: whoever looks for what touches a table has one file to read."""
    parts = set(source.path.split("/"))
    if not source.in_src or source.path.startswith(MAY_SPEAK_SQL) or parts & {"store.py", "journal", "migrations"}:
        return
    documentation = docstrings(source.tree)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            if SQL.match(node.value):
                yield source.breach(node.lineno, "sql", f"speaks SQL: {' '.join(node.value.split())[:60]}")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
            for alias in node.names:
                if alias.name in SQL_WORDS:
                    yield source.breach(node.lineno, "sql", f"imports sqlalchemy's {alias.name}")


def sleeps(source: Source) -> Iterator[Breach]:
    """Wait for the condition with a bound; a pause is too long or too short."""
    if source.path in MAY_SLEEP:
        return
    for node in ast.walk(source.tree):
        called = isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep"
        imported = (
            isinstance(node, ast.ImportFrom) and node.module == "time" and "sleep" in {a.name for a in node.names}
        )
        if called or imported:
            yield source.breach(getattr(node, "lineno", 1), "sleep", "time.sleep: wait for the condition, with a bound")


def skipped_tests(source: Source) -> Iterator[Breach]:
    """A test that is left out proves nothing and looks as if it did."""
    if source.path in MAY_SKIP:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr in SKIPS and ast.unparse(node).startswith("pytest."):
            yield source.breach(node.lineno, "skip", f"{ast.unparse(node)}: only {', '.join(MAY_SKIP)} may")


EVERY_TEXT = (long_files, silent_files, meaningless_names, unfinished, ties_to_one_machine)
EVERY_MODULE = (long_functions, misplaced_sql, sleeps, skipped_tests)


def breaches(root: Path) -> Iterator[Breach]:
    """Every breach of every rule under `root`, which is the top of a git work tree."""
    sources = list(texts(root))
    for source in sources:
        for rule in EVERY_TEXT:
            yield from rule(source)
        for rule in EVERY_MODULE if source.is_python else ():
            yield from rule(source)
    trees = {source.path: source.tree for source in sources if source.is_python}
    others = {source.path: source.text for source in sources if not source.is_python}
    for path, words in dead_files(trees, others):
        yield Breach(path=path, line=1, rule="dead-file", words=words)
    for path, line, words in dead_functions(trees, others):
        yield Breach(path=path, line=line, rule="dead-function", words=words)


def main(arguments: list[str]) -> int:
    """Print every breach; 1 when there is any."""
    found = list(breaches(Path(arguments[0]) if arguments else Path(__file__).parents[2]))
    for breach in found:
        print(breach)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
