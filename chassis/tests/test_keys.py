"""The folder of keys: read by kind, in order of ids, and one sentence when it is not as expected."""

from pathlib import Path

import pytest

from chassis.crypto.secret_key import SecretKey
from chassis.crypto.signing import PrivateKey
from chassis.keys import KeyFolder, KeyFolderError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kid in ("2026-02", "2026-01"):
        private = PrivateKey.generate(kid)
        _write(tmp_path / "journal/own" / f"{kid}.pem", private.to_pem())
        _write(tmp_path / "journal/public/card" / f"{kid}.pem", private.public.to_pem())
        _write(tmp_path / "edges/gateway-card" / f"{kid}.key", SecretKey.generate(kid).to_text().encode() + b"\n")
    _write(tmp_path / "nats.seed", b"SUAEXAMPLE\n")
    return tmp_path


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def test_keys_are_read_by_kind_with_the_current_one_last(folder: Path) -> None:
    keys = KeyFolder(folder)
    private, publics = keys.private("journal/own"), keys.publics("journal/public/card")
    assert list(private) == list(publics) == list(keys.secrets("edges/gateway-card")) == ["2026-01", "2026-02"]
    publics["2026-02"].verify(b"block", private["2026-02"].sign(b"block"))
    assert keys.nats_seed() == "SUAEXAMPLE"


def test_the_links_of_a_mounted_secret_are_no_keys(folder: Path) -> None:
    (folder / "edges/gateway-card/..data").mkdir()
    assert len(KeyFolder(folder).secrets("edges/gateway-card")) == 2


@pytest.mark.parametrize(
    ("file", "content", "kind"),
    [
        ("field/2026-01.key", b"too short", "field"),
        ("field/2026-01.key", b"\xff" * 43, "field"),
        ("field/2026-01.pem", b"", "field"),
        ("field/a b.key", b"A" * 43, "field"),
        ("field/2026-01.key", b"A" * 20_000, "field"),
        ("other/x", b"", "field"),
    ],
)
def test_a_folder_that_is_not_as_expected_is_one_sentence(tmp_path: Path, file: str, content: bytes, kind: str) -> None:
    _write(tmp_path / file, content)
    with pytest.raises(KeyFolderError) as refused:
        KeyFolder(tmp_path).secrets(kind)
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)
    assert content.decode("latin-1") not in str(refused.value) or not content


def test_a_public_key_is_not_taken_for_a_private_one(folder: Path) -> None:
    with pytest.raises(KeyFolderError):
        KeyFolder(folder).private("journal/public/card")
    with pytest.raises(KeyFolderError):
        KeyFolder(folder).publics("journal/own")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFolderError, match="no folder of keys"):
        KeyFolder(tmp_path).private("journal/own")
    with pytest.raises(KeyFolderError, match=r"nats\.seed"):
        KeyFolder(tmp_path).nats_seed()
