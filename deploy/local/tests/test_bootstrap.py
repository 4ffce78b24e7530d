"""What stands between a bare machine and `make run`: an old Python, a mirror that uv must be told of."""

import ast
import inspect
import sys
from pathlib import Path

import pytest

from onecard_local import bootstrap


def test_an_old_python_can_read_the_script_and_gets_one_sentence() -> None:
    ast.parse(inspect.getsource(bootstrap), feature_version=(3, 6))
    with pytest.raises(
        SystemExit, match=r"^One Card needs Python 3\.11 or newer; .* is 3\.9\.2\. .*PYTHON="
    ) as refused:
        bootstrap.refuse_old_python((3, 9, 2))
    assert "\n" not in str(refused.value)
    bootstrap.refuse_old_python((3, 11, 0))


def test_uv_is_told_what_pip_is_configured_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in bootstrap.PIP_TO_UV.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/mine.pem")
    pip = tmp_path / "pip.py"
    lines = (
        ":env:.index-url='https://mirror.example/env'",
        ":env:.no-input='1'",
        "global.cert='/theirs.pem'",
        "global.index-url='https://mirror.example/global'",
        r"global.find-links='/opt/wheels\n/opt/more'",
    )
    pip.write_text(f"print({chr(10).join(lines)!r})")
    told = bootstrap.uv_settings([sys.executable, str(pip)])
    assert told["UV_DEFAULT_INDEX"] == "https://mirror.example/env"  # pip's own order: the variable wins
    assert told["UV_FIND_LINKS"] == "/opt/wheels,/opt/more"
    assert "SSL_CERT_FILE" not in told  # set for uv already


def test_a_changed_lock_or_pyproject_is_installed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("requirements/all.lock", "requirements/dev.lock", "requirements/uv.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    for folder in bootstrap.LOCAL:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "pyproject.toml").write_text("x")
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    stamps = {bootstrap.wanted("run"), bootstrap.wanted("dev")}
    for name in ("requirements/all.lock", "card-svc/pyproject.toml"):
        (tmp_path / name).write_text("y")
        stamps.add(bootstrap.wanted("run"))
    assert len(stamps) == 4


def test_every_distribution_of_the_repository_is_installed() -> None:
    root = Path(bootstrap.ROOT)
    found = {file.parent.relative_to(root) for file in root.glob("*/pyproject.toml")}
    found |= {file.parent.relative_to(root) for file in root.glob("*/*/pyproject.toml")}
    found |= {file.parent.relative_to(root) for file in root.glob("deploy/local/*/pyproject.toml")}
    assert found == {Path(folder) for folder in bootstrap.LOCAL}
