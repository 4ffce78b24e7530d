"""A terminal maker gets the verifier alone: its dependencies are the declared ones, and events stay out."""

import json
import subprocess
import sys
import tomllib
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from contracts.card_code import CodeMaker, TrustUnusable, key_from_jwk, key_from_pem, keys_from_trust_list
from contracts.card_code.__main__ import main

CONTRACTS = Path(__file__).parents[2]
KEY = ec.generate_private_key(ec.SECP256R1())
OFF_THE_CURVE = {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)

_ALONE = """
import importlib.metadata, re, sys
allowed = set(sys.stdlib_module_names) | {"contracts"}
def let_in(distribution):
    found = importlib.metadata.distribution(distribution)
    allowed.update(re.split("[/.]", str(file))[0] for file in found.files)
    for needed in found.requires or ():
        if "extra ==" not in needed:
            let_in(re.match(r"[A-Za-z0-9_.-]+", needed)[0])
for name in sys.argv[1].split(","):
    let_in(name)
class OnlyTheDeclared:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"{name} is not a declared dependency", name=name)
sys.meta_path.insert(0, OnlyTheDeclared())
import contracts.card_code, contracts.card_code.__main__, contracts.document_number
assert "pydantic" not in sys.modules
try:
    import pydantic
except ModuleNotFoundError:
    print("alone")
"""


def test_the_verifier_runs_with_the_declared_dependencies_alone() -> None:
    project = tomllib.loads((CONTRACTS / "pyproject.toml").read_text())["project"]
    declared = [requirement.partition(">")[0] for requirement in project["dependencies"]]
    assert sorted(declared) == ["base45", "cbor2", "cryptography"]
    command = [sys.executable, "-c", _ALONE, ",".join(declared)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.stdout == "alone\n", ran.stderr


def test_the_command_line_says_good_or_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps(_trust_list()))
    text = _code()
    assert main(["verify", "--trust", str(trust), "--at", NOW.isoformat(), text]) == 0
    assert json.loads(capsys.readouterr().out)["cell"] == "330000"
    late = (NOW + timedelta(minutes=2)).isoformat()
    assert main(["verify", "--trust", str(trust), "--at", late, text]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "valid": False,
        "reason": "code-expired",
        "detail": "The code is older than its 60 seconds; the card holder shows a fresh one.",
    }
    assert main(["verify", "--trust", str(tmp_path / "absent"), text]) == 1
    assert json.loads(capsys.readouterr().out)["reason"] == "trust-unusable"


def test_the_module_is_a_program(tmp_path: Path) -> None:
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps(_trust_list()))
    command = [sys.executable, "-m", "contracts.card_code", "verify", "--trust", str(trust)]
    ran = subprocess.run(command, input=_code() + "\n", capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["reason"] in ("code-expired", "code-not-yet-valid")


@pytest.mark.parametrize(
    "change",
    [
        {"cell": "320000"},
        {"keys": [{"kid": "2026-11", "alg": "ES256", "jwk": {}}]},
        {
            "keys": [
                {"kid": "330000-1", "alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}}
            ]
        },
        {"keys": [{"kid": "330000-1", "alg": "ES256"}]},
        {"keys": ["330000-1"]},
        {"keys": {}},
        {"cell": None},
    ],
)
def test_a_trust_list_of_another_form_is_refused_whole(change: dict[str, object]) -> None:
    with pytest.raises(TrustUnusable):
        keys_from_trust_list({**_trust_list(), **change})


def test_a_key_of_an_algorithm_to_come_is_left_out() -> None:
    listed = _trust_list()
    listed["keys"] = [*listed["keys"], {"kid": "330000-sm", "alg": "SM2", "jwk": {}}]
    assert list(keys_from_trust_list(listed)) == ["330000-2026-11"]


def test_keys_are_read_from_pem_and_jwk_alike() -> None:
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert key_from_pem(pem) == key_from_jwk(_jwk()) == KEY.public_key()
    for wrong in (b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(TrustUnusable):
            key_from_pem(wrong)
    for odd in (None, {}, {**_jwk(), "crv": "P-384"}, {**_jwk(), "x": "!" * 43}):
        with pytest.raises(TrustUnusable):
            key_from_jwk(odd)


def _jwk() -> dict[str, str]:
    numbers = KEY.public_key().public_numbers()
    x, y = (urlsafe_b64encode(n.to_bytes(32)).rstrip(b"=").decode() for n in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _trust_list() -> dict[str, Any]:
    keys = [{"kid": "330000-2026-11", "alg": "ES256", "jwk": _jwk()}]
    return {"cell": "330000", "keys": keys, "as_of": NOW.isoformat()}


def _code() -> str:
    maker = CodeMaker(kid="330000-2026-11", signing_key=KEY, handle_kid="1", handle_key=bytes(32))
    return maker.make(uuid4(), NOW).text
