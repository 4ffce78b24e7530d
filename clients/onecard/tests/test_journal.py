"""Exporting a real journal through the API, and proving it offline afterwards."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from chassis.crypto.signing import PrivateKey
from chassis.keys import KeyFolder
from chassis.testing.waiting import until
from chassis.work import Fact
from onecard import exporting
from onecard.commands import app

PATH = "/v1/services/interop/journal"


@pytest.fixture
async def told(cell: Any) -> Any:
    """The cell, with at least six blocks in interop-svc's journal."""
    api = cell.services["interop"]
    journal, workshop = api.app.state.journal, api.app.state.runtime.workshop
    for number in range(6 - journal.status().block):
        before = journal.status().block
        async with workshop.begin() as work:
            work.record(Fact(topic="interop.test.told.v1", key=f"k{number}", details={"卡": number}))

        async def is_sealed(before: int = before) -> bool:
            return bool(journal.status().block > before)

        await until(is_sealed, what="the block")
    return cell


def verify(*arguments: object) -> Result:
    """Verify without any cell: what is asked of the network would fail."""
    words = ["journal", "verify", *(str(argument) for argument in arguments)]
    return CliRunner().invoke(app, words, env={"ONECARD_PUBLIC_URL": "http://nowhere.invalid"})


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def exported(cell: Any, file: Path, *more: str) -> dict[str, Any]:
    result = await cell.onecard("journal", "export", "interop", "--to", file, "--json", *more)
    assert result.exit_code == 0, result.output
    said: dict[str, Any] = json.loads(result.stdout)
    return said


async def test_an_export_verifies_without_a_running_service(told: Any, tmp_path: Path) -> None:
    file = tmp_path / "interop.jsonl"
    said = await exported(told, file)
    assert said["source"] == "330000/interop"
    assert said["blocks"] == said["head"]["n"] >= 6
    assert names_in(tmp_path) == ["interop.jsonl"]
    assert file.stat().st_mode & 0o077 == 0
    result = verify(file, "--keys", told.journal_keys("interop"), "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["right"], found["problem"], found["wrong_block"]) == (True, None, None)
    assert (found["source"], found["head"]) == (said["source"], said["head"])
    assert (found["events"], found["records"] >= 6, found["erased"]) == (0, True, 0)
    assert found["first_as_of"] <= found["last_as_of"] == said["as_of"]


async def test_people_read_the_head_that_they_should_remember(told: Any, tmp_path: Path) -> None:
    file = tmp_path / "interop.jsonl"
    result = await told.onecard("journal", "export", "interop", "--to", file)
    first, second = result.stdout.splitlines()
    assert first.startswith("330000/interop: ")
    head = second.removeprefix("head ")
    human = verify(file, "--keys", told.journal_keys("interop"), "--head", head).stdout.splitlines()
    assert human[0] == "330000/interop is right."
    assert human[-2].split() == ["head", head]
    assert "--head" in human[-1]


async def test_pages_put_together_are_the_export_of_the_whole(
    told: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await exported(told, tmp_path / "whole")
    monkeypatch.setattr(exporting, "PAGE_BLOCKS", 2)
    told.door.seen.clear()
    await exported(told, tmp_path / "paged")
    assert len([request for request in told.door.seen if request.url.path == PATH]) >= 4
    whole, paged = (tmp_path / "whole").read_bytes(), (tmp_path / "paged").read_bytes()
    assert paged.startswith(whole)  # the journal may have grown in between


async def test_every_changed_byte_shows(told: Any, tmp_path: Path) -> None:
    file = tmp_path / "interop.jsonl"
    await exported(told, file)
    content = file.read_bytes()
    keys = told.journal_keys("interop")
    changed = tmp_path / "changed"
    for at in range(0, len(content), max(1, len(content) // 150)):
        changed.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        result = verify(changed, "--keys", keys)
        assert result.exit_code == 1, (at, content[max(0, at - 20) : at + 20], result.output)
        assert "WRONG at block" in result.stdout


async def test_a_changed_row_names_its_block_and_why(told: Any, tmp_path: Path) -> None:
    file = tmp_path / "interop.jsonl"
    await exported(told, file)
    lines = file.read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if line.startswith(b'{"row"'))
    file.write_bytes(b"".join([*lines[:at], lines[at].replace("卡".encode(), "拿".encode()), *lines[at + 1 :]]))
    result = verify(file, "--keys", told.journal_keys("interop"), "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["right"], found["wrong_block"]) == (1, False, 1)
    assert found["problem"] == "its records are not those of its records root"
    assert found["head"] is None


@pytest.mark.parametrize("how", ["words", "json of the export", "lines"])
async def test_a_cut_tail_shows_only_against_a_remembered_head(told: Any, tmp_path: Path, how: str) -> None:
    file, keys = tmp_path / "interop.jsonl", told.journal_keys("interop")
    said = await exported(told, file)
    words = f"{said['head']['n']}:{said['head']['hash']}"
    remembered = tmp_path / "head"
    remembered.write_text(json.dumps(said) if how == "json of the export" else f"{words}\n")
    head = words if how == "words" else remembered
    assert verify(file, "--keys", keys, "--head", head).exit_code == 0
    lines = file.read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if line.startswith(b'{"block"'))
    file.write_bytes(b"".join(lines[:last]))
    assert verify(file, "--keys", keys).exit_code == 0
    cut = verify(file, "--keys", keys, "--head", head)
    assert cut.exit_code == 1
    assert f"block {said['head']['n']} has been seen: cut" in cut.stdout


async def test_keys_come_as_a_folder_or_as_a_key_set_and_others_do_not_do(told: Any, tmp_path: Path) -> None:
    file = tmp_path / "interop.jsonl"
    await exported(told, file)
    publics = KeyFolder(told.journal_keys("interop")).publics(".")
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"keys": [key.to_jwk() for key in publics.values()]}))
    assert verify(file, "--keys", own, "--source", "330000/interop").exit_code == 0
    assert "not of 330000/card" in verify(file, "--keys", own, "--source", "330000/card").stdout
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"keys": [PrivateKey.generate(kid).public.to_jwk() for kid in publics]}))
    wrong = verify(file, "--keys", other)
    assert (wrong.exit_code, "its signature is not that of key" in wrong.stdout) == (1, True)


async def test_an_export_that_broke_off_goes_on_where_it_stopped(told: Any, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    await exported(told, whole)
    content = whole.read_bytes()
    starts = [at for at in range(len(content)) if content[at:].startswith(b'{"block"')]
    for end in (0, 5, starts[0] + 3, starts[1], starts[3], starts[3] + 40, len(content)):
        file = tmp_path / f"cut-{end}"
        file.with_name(f"{file.name}.part").write_bytes(content[:end])
        told.door.seen.clear()
        await exported(told, file)
        assert file.read_bytes().startswith(content), end
        first = next(request for request in told.door.seen if request.url.path == PATH)
        whole_blocks = sum(content.find(b"\n", start) < end for start in starts)
        assert int(first.url.params["after"]) == max(0, whole_blocks - 1), end  # the last one may lack rows


async def test_a_page_that_breaks_off_is_asked_for_again_in_smaller_pieces(told: Any, tmp_path: Path) -> None:
    await exported(told, tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    limits: list[int] = []

    class Torn(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield content[: len(content) // 2]
            raise httpx.ReadError("the connection is gone")

    def tear_twice(request: httpx.Request) -> httpx.Response | None:
        if request.url.path != PATH:
            return None
        limits.append(int(request.url.params["limit"]))
        return httpx.Response(200, stream=Torn()) if len(limits) < 3 else None

    told.door.planned = tear_twice
    await exported(told, tmp_path / "torn")
    assert limits[:3] == [200, 50, 12]
    assert (tmp_path / "torn").read_bytes().startswith(content)


async def test_a_service_that_never_answers_leaves_the_part_and_says_3(told: Any, tmp_path: Path) -> None:
    gone = httpx.Response(503, json={"code": "service-down", "detail": "The service does not answer."})
    told.door.planned = lambda request: gone if request.url.path == PATH else None
    result = await told.onecard("journal", "export", "interop", "--to", tmp_path / "x")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "onecard: The service does not answer. (service-down, HTTP 503)\n"
    assert names_in(tmp_path) == ["x.part"]
    assert len(told.waited) == exporting.PAGE_TRIES - 1


async def test_a_journal_that_does_not_continue_the_part_is_not_mixed_into_it(told: Any, tmp_path: Path) -> None:
    await exported(told, tmp_path / "whole")
    lines = (tmp_path / "whole").read_bytes().splitlines(keepends=True)
    blocks = [number for number, line in enumerate(lines) if line.startswith(b'{"block"')]
    said = json.loads(lines[blocks[2]])
    said["block"]["as_of"] += 1  # another block 3, as of a database that was restored and went another way
    part = tmp_path / "x.part"
    part.write_bytes(b"".join([*lines[: blocks[2]], json.dumps(said).encode() + b"\n"]))
    said["block"] |= {"n": 4, "prev": "00" * 32}
    part.write_bytes(part.read_bytes() + json.dumps(said).encode() + b"\n")
    result = await told.onecard("journal", "export", "interop", "--to", tmp_path / "x")
    assert result.exit_code == 2
    assert "Block 4 of 330000/interop does not continue block 3" in result.stderr
    other = await told.onecard("journal", "export", "card", "--to", tmp_path / "x")
    assert (other.exit_code, "It is the journal of '330000/interop', not of card" in other.stderr) == (2, True)


async def test_an_export_that_is_there_is_not_replaced_by_accident(told: Any, tmp_path: Path) -> None:
    file = tmp_path / "interop.jsonl"
    file.write_text("evidence")
    result = await told.onecard("journal", "export", "interop", "--to", file)
    assert (result.exit_code, file.read_text()) == (2, "evidence")
    await exported(told, file, "--force")
    assert file.read_text().startswith('{"onecard_journal_export"')


async def test_an_access_token_that_is_revoked_half_way_is_replaced_once(
    told: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE_BLOCKS", 2)
    refused: list[str] = []

    def revoke_the_first(request: httpx.Request) -> httpx.Response | None:
        token = request.headers.get("authorization", "")
        if request.url.path == PATH and request.url.params["after"] == "2" and token not in refused and not refused:
            refused.append(token)
            return httpx.Response(401, json={"code": "token-revoked", "detail": "Revoked."})
        return None

    told.door.planned = revoke_the_first
    await exported(told, tmp_path / "x")
    used = {request.headers["authorization"] for request in told.door.seen if request.url.path == PATH}
    assert len(used) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\n", b'{"row":[]}\n', b"[" * 100_000, b"x" * 1_100_000])
def test_what_is_no_export_is_wrong_and_no_crash(tmp_path: Path, content: bytes) -> None:
    file, keys = tmp_path / "x", tmp_path / "keys.json"
    file.write_bytes(content)
    keys.write_text(json.dumps({"keys": [PrivateKey.generate("k").public.to_jwk()]}))
    result = verify(file, "--keys", keys)
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert result.stdout.startswith("The file is WRONG at block 0: ")


def test_wrong_use_of_verify_is_one_sentence_and_2(tmp_path: Path) -> None:
    keys, file = tmp_path / "keys.json", tmp_path / "x"
    keys.write_text(json.dumps({"keys": [PrivateKey.generate("k").public.to_jwk()]}))
    file.write_text("")
    (tmp_path / "empty").mkdir()
    head = f"3:{'0' * 64}"
    for arguments, words in (
        ((tmp_path / "none", "--keys", keys), "none cannot be read: No such file or directory."),
        ((file, "--keys", tmp_path / "none"), "none cannot be read: No such file or directory."),
        ((file, "--keys", tmp_path / "empty"), "empty holds no key."),
        ((file, "--keys", file), "is neither a folder of <key id>.pem nor a JSON Web Key Set."),
        ((file, "--keys", keys, "--head", "3:abc"), "3:abc is neither BLOCK:HASH nor a file with such lines."),
        ((file, "--keys", keys, "--head", file), "holds no heads"),
        ((file, "--keys", keys, "--head", head, "--head", f"3:{'1' * 64}"), "Two different heads of block 3"),
    ):
        result = verify(*arguments)
        assert (result.exit_code, result.stdout) == (2, ""), arguments
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
