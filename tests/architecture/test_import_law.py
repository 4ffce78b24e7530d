"""The import law of `.importlinter` bites: every contract is broken once on purpose, in a tree of empty modules.

Protects the law itself: a contract that can no longer fail (a wildcard that matches nothing, a renamed package) is
found here and not years later.
"""

import configparser
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / ".importlinter"

# contract, importing module, imported module: each breaks exactly the contract that it names, and is reported by name.
PLANTED = (
    ("rooms", "card_svc.lifecycle.adapters", "payment_svc.ledger.store"),
    ("rooms", "gateway.door", "identity_svc.people.store"),
    ("rooms", "ecard.pages", "card_svc.lifecycle.domain"),
    ("rooms", "simulators.bank", "payment_svc.ledger.domain"),
    ("rooms", "onecard_local.runner", "scenario_svc.app"),
    ("rooms", "chassis.work", "gateway.routes"),
    ("rooms", "contracts.card_code", "chassis.crypto"),
    ("identity-slices", "identity_svc.people.use_cases", "identity_svc.tokens.use_cases"),
    ("identity-slices", "identity_svc.clients.store", "identity_svc.signin.domain"),
    ("identity-slices", "identity_svc.messages.store", "identity_svc.people.domain"),
    ("card-slices", "card_svc.lifecycle.api", "card_svc.codes.domain"),
    ("card-slices", "card_svc.production.store", "card_svc.codes.domain"),
    ("payment-slices", "payment_svc.ledger.use_cases", "payment_svc.charges.store"),
    ("scenario-slices", "scenario_svc.venues.store", "scenario_svc.uses.domain"),
    ("scenario-slices", "scenario_svc.uses.api", "scenario_svc.app"),
    ("modules-of-a-slice", "card_svc.lifecycle.domain", "card_svc.lifecycle.store"),
    ("modules-of-a-slice", "identity_svc.people.events", "identity_svc.people.store"),
    ("modules-of-a-slice", "scenario_svc.uses.use_cases", "scenario_svc.uses.api"),
    ("modules-of-a-slice", "payment_svc.ledger.api", "payment_svc.ledger.consumers"),
    ("modules-of-a-slice", "card_svc.production.use_cases", "card_svc.production.loops"),
    ("modules-of-a-flat-service", "interop_svc.domain", "interop_svc.settings"),
    ("modules-of-a-flat-service", "interop_svc.store", "interop_svc.use_cases"),
    ("pure-domain", "card_svc.codes.domain", "sqlalchemy"),
    ("pure-domain", "card_svc.codes.domain", "chassis.work"),
    ("pure-domain", "interop_svc.domain", "pydantic"),
    ("pure-domain", "payment_svc.ledger.domain", "httpx"),
    ("pure-domain", "payment_svc.charges.domain", "nats"),
    ("pure-domain", "scenario_svc.venues.domain", "fastapi"),
    ("pure-domain", "scenario_svc.uses.domain", "asyncpg"),
    ("pure-domain", "identity_svc.people.domain", "cryptography"),
    ("crypto-in-one-place", "identity_svc.tokens.use_cases", "cryptography"),
    ("crypto-in-one-place", "contracts.edges", "cryptography"),
    ("crypto-in-one-place", "chassis.keys", "cryptography"),
    ("tokens-in-three-places", "payment_svc.ledger.adapters", "jwt"),
    ("light-gateway", "gateway.quota", "fastapi"),
    ("light-gateway", "gateway.revocations", "sqlalchemy"),
    ("light-gateway", "gateway.relay", "pydantic"),
    ("card-code-travels-light", "contracts.card_code", "pydantic"),
)

UNDECLARED = (
    ("identity-slices", "identity_svc.passports"),
    ("card-slices", "card_svc.shared"),
    ("payment-slices", "payment_svc.refunds"),
    ("scenario-slices", "scenario_svc.extras"),
    ("modules-of-a-slice", "card_svc.lifecycle.extras"),
    ("modules-of-a-flat-service", "interop_svc.extras"),
)

CYCLE = (
    ("chassis.errors", "chassis.problems"),
    ("chassis.problems", "chassis.errors"),
)

ALLOWED = (
    ("chassis.crypto", "cryptography"),
    ("contracts.card_code", "cryptography"),
    ("gateway.tokens", "jwt"),
    ("card_svc.lifecycle.domain", "chassis.errors"),
    ("card_svc.lifecycle.use_cases", "card_svc.lifecycle.store"),
    ("card_svc.codes.use_cases", "card_svc.lifecycle.store"),
    ("chassis.work", "contracts.events"),
    ("contracts.events", "pydantic"),
    ("payment_svc.ledger.domain", "contracts.events"),
)

Import = tuple[str, str]


def plant(root: Path, modules: Sequence[str], imports: Sequence[Import]) -> None:
    """Write a tree in which every named module exists and holds just the given imports."""
    session = configparser.ConfigParser()
    session.read(CONFIG)
    packages = session["importlinter"]["root_packages"].split()
    internal = [*modules, *(name for pair in imports for name in pair if name.split(".")[0] in packages)]
    for package in packages:
        (root / package).mkdir(exist_ok=True)
        (root / package / "__init__.py").touch()
    for module in ["contracts.card_code", *internal]:
        folder = root.joinpath(*module.split(".")[:-1])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
        if not (folder / module.split(".")[-1]).is_dir():
            (folder / f"{module.split('.')[-1]}.py").touch()
    for importer, imported in imports:
        path = root.joinpath(*importer.split("."))
        target = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        target.write_text(target.read_text() + f"import {imported}\n")


def lint(root: Path) -> tuple[int, dict[str, str]]:
    """Run import-linter on the tree with the real configuration; the report is cut by the contract's id."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", str(CONFIG)]
    wide = os.environ | {"COLUMNS": "400"}  # or the names are wrapped
    run = subprocess.run(command, cwd=root, env=wide, capture_output=True, text=True, timeout=60, check=False)
    session = configparser.ConfigParser()
    session.read(CONFIG)
    names = {session[section]["name"]: section.rpartition(":")[2] for section in session.sections() if ":" in section}
    parts = re.split(r"^(?P<name>\S.*)\n-+\n", run.stdout + run.stderr, flags=re.MULTILINE)
    report = {names[name]: text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name in names}
    report["all"] = run.stdout + run.stderr
    return run.returncode, report


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every violation at once: import-linter builds its graph once and reports each by name."""
    root = tmp_path_factory.mktemp("broken")
    imports = [(importer, imported) for _, importer, imported in PLANTED]
    plant(root, [module for _, module in UNDECLARED], [*imports, *CYCLE, *ALLOWED])
    status, report = lint(root)
    assert status == 1, report["all"]
    return report


def test_a_tree_that_keeps_the_law_passes(tmp_path: Path) -> None:
    """Without this the planted violations would prove nothing: the skeleton itself could be at fault."""
    plant(tmp_path, [], ALLOWED)
    status, report = lint(tmp_path)
    assert status == 0, report["all"]


@pytest.mark.parametrize(("contract", "importer", "imported"), PLANTED)
def test_a_planted_import_breaks_its_contract(
    broken: dict[str, str], contract: str, importer: str, imported: str
) -> None:
    assert re.search(rf"\b{re.escape(importer)} -> {re.escape(imported)}\b", broken.get(contract, "")), broken["all"]


@pytest.mark.parametrize(("contract", "module"), UNDECLARED)
def test_a_module_that_nobody_declared_breaks_its_contract(broken: dict[str, str], contract: str, module: str) -> None:
    assert re.search(rf"^- {re.escape(module)}$", broken.get(contract, ""), re.MULTILINE), broken["all"]


def test_a_cycle_breaks_its_contract(broken: dict[str, str]) -> None:
    assert "chassis" in broken.get("no-cycles", ""), broken["all"]


def test_every_contract_of_the_law_is_broken_by_something(broken: dict[str, str]) -> None:
    session = configparser.ConfigParser()
    session.read(CONFIG)
    declared = {section.rpartition(":")[2] for section in session.sections() if ":" in section}
    assert declared == {name for name in broken if name != "all"}
