"""`python -m contracts.card_code verify --trust FILE [CODE]`: the verifier for people who build terminals.

FILE is the saved answer of `GET /v1/trust-list`; the code is an argument or one line of standard input. One line of
JSON comes out; the status is 0 for a good code, 1 for a refused one, 2 for a wrong call.
"""

import argparse
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.card_code import CardCodeError, Verifier, keys_from_trust_list

INPUT_MAX = 4096


def verify(trust_file: Path, text: str, now: datetime, leeway: timedelta) -> dict[str, object]:
    """Verify one code and describe the result in words of JSON."""
    try:
        trust_list = json.loads(trust_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {"valid": False, "reason": "trust-unusable", "detail": f"{trust_file} cannot be read: {error}"}
    try:
        code = Verifier(keys_from_trust_list(trust_list)).verify(text, now, leeway)
    except CardCodeError as refused:
        return {"valid": False, "reason": refused.reason, "detail": str(refused)}
    return {
        "valid": True,
        "cell": code.cell,
        "code_id": code.code_id.hex(),
        "issued_at": code.issued_at.isoformat(),
        "expires_at": code.expires_at.isoformat(),
        "signed_by": code.kid,
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m contracts.card_code", description="Verify a card code offline.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("verify", help="verify one code with public keys only")
    command.add_argument("code", nargs="?", help="the text of the code; from standard input when left out")
    command.add_argument("--trust", type=Path, required=True, help="saved answer of GET /v1/trust-list")
    command.add_argument(
        "--at", type=datetime.fromisoformat, help="moment to verify for, with its zone; now by default"
    )
    command.add_argument("--leeway", type=int, default=5, help="seconds that this clock may be off")
    given = parser.parse_args(arguments)
    now = given.at or datetime.now(UTC)
    if now.tzinfo is None:
        parser.error("--at needs a time zone, as in 2026-11-24T12:00:00+08:00")
    text = given.code if given.code is not None else sys.stdin.readline(INPUT_MAX).rstrip("\r\n")
    result = verify(given.trust, text, now, timedelta(seconds=given.leeway))
    sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    return 0 if result["valid"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
