"""Finds what nobody uses any more: modules that nothing imports, public functions that nothing names.

Cheap on purpose: names are compared, not types, so it can miss dead code but accuses none that is alive. What only
its own distribution's tests use counts as dead; the root's tests stand for the outside and keep things alive.
"""

import ast
import re
from collections.abc import Iterator, Mapping

# Shipped for others: `<package>.testing` for every test, `contracts.card_code` for terminal makers.
FOR_OTHERS = re.compile(r"\w+\.testing\b|contracts\.card_code\b")
# A function under any other decorator is registered with somebody (a route, a command, a validator).
PLAIN_DECORATORS = {
    "asynccontextmanager",
    "cache",
    "cached_property",
    "classmethod",
    "contextmanager",
    "lru_cache",
    "property",
    "staticmethod",
}
FOREIGN_BASES_THAT_CALL_NOTHING = {"Protocol", "ABC", "Exception", "BaseModel", "StrEnum", "Enum", "Event", "object"}
CALLED_BACK = re.compile(r"on_|collect$")  # httptools and Prometheus look their callbacks up by name
RUNS_ITSELF = re.compile(r"__name__ == ['\"]__main__['\"]")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
REFERENCE = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_]\w*)?")
DOTTED = re.compile(r"[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)+")

Trees = Mapping[str, ast.Module]
Texts = Mapping[str, str]


def module_name(path: str) -> str:
    """`card-svc/src/card_svc/app.py` -> `card_svc.app`; a test's name is its path."""
    dotted = path.removesuffix(".py").removesuffix("/__init__")
    return dotted.rpartition("src/")[2].replace("/", ".")


def is_test(path: str) -> bool:
    """Whether the file is not shipped."""
    return "tests" in path.split("/") or path.rpartition("/")[2] == "conftest.py"


def counts_as_a_user(path: str) -> bool:
    """Shipped code and the root's tests keep things alive; a distribution's own tests do not."""
    return not is_test(path) or path.startswith("tests/") or path == "conftest.py"


def imported_by(path: str, tree: ast.Module) -> Iterator[str]:
    """Every module that the file imports, and every name that might be one."""
    package = module_name(path).split(".")
    if not path.endswith("__init__.py"):
        package.pop()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            full = ".".join([*base, *filter(None, [node.module])])
            yield full
            yield from (f"{full}.{alias.name}" for alias in node.names)


def words_in_strings(tree: ast.Module) -> Iterator[str]:
    """Strings that may be a reference: `app:create`, `card_svc.migrate`, `leash.py`; no prose."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and REFERENCE.fullmatch(node.value):
            yield node.value


def runs_by_itself(path: str, tree: ast.Module) -> bool:
    """Whether the file is started and not imported: `__main__`, a script, a migration, a test."""
    name = path.rpartition("/")[2]
    if name in {"__main__.py", "__init__.py", "conftest.py"} or name.startswith("test_") or "/migrations/" in path:
        return True
    return any(isinstance(node, ast.If) and RUNS_ITSELF.search(ast.unparse(node.test)) for node in tree.body)


def dead_files(trees: Trees, others: Texts) -> Iterator[tuple[str, str]]:
    """Modules that nobody imports, starts or names."""
    alive: set[str] = set()
    for path, tree in trees.items():
        if counts_as_a_user(path):
            alive.update(name for name in imported_by(path, tree) if name != module_name(path))
            alive.update(words_in_strings(tree))
    for text in others.values():
        alive.update(DOTTED.findall(text))
    imported_by_tests = {name for path, tree in trees.items() if is_test(path) for name in imported_by(path, tree)}
    for path, tree in trees.items():
        name, file = module_name(path), path.rpartition("/")[2]
        if runs_by_itself(path, tree) or FOR_OTHERS.match(name) or {name, file} & alive:
            continue
        if is_test(path) and {name, name.rpartition(".")[2]} & imported_by_tests:
            continue
        yield path, "nobody imports it and nothing starts it"


def names_used(trees: Trees, others: Texts) -> set[str]:
    """Every name that code, a template or a configuration mentions outside of its definition."""
    used: set[str] = set()
    for path, tree in trees.items():
        if not counts_as_a_user(path):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
        used.update(word for reference in words_in_strings(tree) for word in WORD.findall(reference))
    for path, text in others.items():
        if path.endswith((".html", ".toml", ".mako", ".ini", ".j2")):
            used.update(WORD.findall(text))
    return used


def decorator_name(node: ast.expr) -> str:
    """`@app.get("/x")` -> `app.get`."""
    return ast.unparse(node.func if isinstance(node, ast.Call) else node)


def functions_to_use(tree: ast.Module, own_classes: set[str]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public functions, and methods of classes that no foreign framework calls back."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).partition("[")[0] for base in node.bases}  # asyncio.Protocol is not Protocol
            if bases <= own_classes | FOREIGN_BASES_THAT_CALL_NOTHING:
                methods = (m for m in node.body if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef))
                yield from (m for m in methods if not CALLED_BACK.match(m.name))


def dead_functions(trees: Trees, others: Texts) -> Iterator[tuple[str, int, str]]:
    """Public functions of shipped code whose name stands nowhere else."""
    used = names_used(trees, others)
    shipped = {path: tree for path, tree in trees.items() if not is_test(path) and "/migrations/" not in path}
    own = {node.name for tree in shipped.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for path, tree in shipped.items():
        if FOR_OTHERS.match(module_name(path)):
            continue
        for node in functions_to_use(tree, own):
            decorators = {decorator_name(decorator).rpartition(".")[2] for decorator in node.decorator_list}
            if node.name.startswith("_") or not decorators <= PLAIN_DECORATORS:
                continue
            if node.name not in used:
                yield path, node.lineno, f"nothing names {node.name}"
