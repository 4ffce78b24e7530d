"""The bank outside, as far as single payments are concerned.

Invariant: an answer counts only when it is about the very instruction that was asked about; all else is silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol
from uuid import UUID

import structlog

from chassis.egress import Answer as HttpAnswer
from chassis.egress import Outside, OutsideDown
from payment_svc.charges.domain import Answer, Word

_log = structlog.get_logger(__name__)

REFUSALS: Mapping[str, str] = MappingProxyType(
    {
        "insufficient-funds": "insufficient-funds",
        "account-frozen": "bank-account-frozen",
        "account-closed": "bank-account-closed",
        "limit-exceeded": "bank-limit-exceeded",
    }
)
"""The bank's reasons that a citizen can do something about -> codes of our catalogue."""
OTHER_REFUSAL = "refused-by-bank"

SILENCE = Answer(word=Word.SILENT)


class Kind(StrEnum):
    """Which way the money goes."""

    DEBIT = "debit"
    REFUND = "refund"


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What the bank is told; sent twice it is carried out once."""

    id: UUID
    kind: Kind
    account: UUID
    merchant: UUID
    amount_fen: int
    debit: UUID | None = None  # for a refund: the instruction that it gives back


class Bank(Protocol):
    """Moves money; never raises, because no answer is an answer too."""

    async def instruct(self, instruction: Instruction, *, within_s: float) -> Answer: ...
    async def ask(self, instruction: Instruction, *, within_s: float) -> Answer: ...


class BankOverHttp:
    """The bank's interface for instructions."""

    def __init__(self, bank: Outside) -> None:
        self._bank = bank

    async def instruct(self, instruction: Instruction, *, within_s: float) -> Answer:
        """Send an instruction, which may be the second time."""
        body: dict[str, Any] = {
            "id": str(instruction.id),
            "kind": instruction.kind.value,
            "account": str(instruction.account),
            "merchant": str(instruction.merchant),
            "amount_fen": instruction.amount_fen,
        }
        if instruction.debit is not None:
            body["debit_id"] = str(instruction.debit)
        return await self._call("POST", "instructions", instruction, body, within_s)

    async def ask(self, instruction: Instruction, *, within_s: float) -> Answer:
        """Ask what became of an instruction."""
        return await self._call("GET", f"instructions/{instruction.id}", instruction, None, within_s)

    async def _call(self, method: str, path: str, about: Instruction, body: Any, within_s: float) -> Answer:
        try:
            answer = await self._bank.call(method, path, body=body, repeatable=True, deadline_s=within_s)
        except OutsideDown as down:
            _log.warning("the bank is silent", instruction=str(about.id), why=down.detail)
            return SILENCE
        word = read_answer(answer, about, asked=method == "GET")
        if word is SILENCE:
            _log.warning("the bank's answer is none", instruction=str(about.id), status=answer.status)
        return word


def read_answer(answer: HttpAnswer, about: Instruction, *, asked: bool) -> Answer:
    """Return the bank's word about one instruction; anything that is not clearly that is silence."""
    body = answer.body if isinstance(answer.body, dict) else {}
    if asked and answer.status == 404 and body.get("reason") == "instruction-unknown":
        return Answer(word=Word.NEVER_SEEN)
    if answer.status not in (200, 201):
        return SILENCE
    expected = {"id": str(about.id), "kind": about.kind.value, "amount_fen": about.amount_fen}
    if any(body.get(name) != value for name, value in expected.items()):
        return SILENCE
    if body.get("state") == "refused":
        return Answer(word=Word.REFUSED, refusal=REFUSALS.get(str(body.get("reason")), OTHER_REFUSAL))
    return {"accepted": Answer(word=Word.ACCEPTED), "confirmed": Answer(word=Word.CONFIRMED)}.get(
        str(body.get("state")), SILENCE
    )
