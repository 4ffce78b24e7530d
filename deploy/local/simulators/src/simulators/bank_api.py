"""The bank's door: takes instructions over HTTP and misbehaves as the amount or an order says."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from simulators.bank import Bank, IdReused, Instruction, Kind, Order, State
from simulators.lines import LineFile
from simulators.modes import LATE_S, Faults, Mode, add_mode_routes, delay_answer, fall_silent

MODES_BY_FEN = {
    91: Mode.SLOW,
    92: Mode.DOWN,
    93: Mode.SILENT,
    94: Mode.LOST,
    95: Mode.LATE,
    96: Mode.DUPLICATE,
    97: Mode.REFUSED,
    98: Mode.WRONG,
    99: Mode.LATE_REFUSED,
}
"""The last two digits of an amount in fen."""
FROZEN = "account-frozen"

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]


class InstructionOrder(BaseModel):
    """An order to move money."""

    model_config = ConfigDict(extra="forbid")

    id: Id
    kind: Kind
    account: Id
    merchant: Id
    amount_fen: int = Field(gt=0, le=10_000_000_00, strict=True)
    debit_id: Id | None = None

    @model_validator(mode="after")
    def _refunds_name_their_debit(self) -> "InstructionOrder":
        if (self.kind is Kind.REFUND) != (self.debit_id is not None):
            raise ValueError("a refund, and only a refund, names its debit_id")
        if self.account == self.merchant:
            raise ValueError("account and merchant are the same")
        return self


class InstructionShown(BaseModel):
    """An instruction as the bank sees it now."""

    id: str
    kind: Kind
    account: str
    merchant: str
    amount_fen: int
    debit_id: str | None
    state: State
    reason: str | None
    received_at: datetime
    settled_at: datetime | None


class AccountOrder(BaseModel):
    """Whose account to open, by a name that means nothing to the bank."""

    model_config = ConfigDict(extra="forbid")

    citizen: Id


class AccountShown(BaseModel):
    """What an account holds."""

    account: str
    balance_fen: int


def bank_routes(lines: LineFile, clock: Callable[[], datetime]) -> APIRouter:
    """Routes under /bank."""
    faults = Faults("bank", frozenset(MODES_BY_FEN.values()))
    bank = Bank(lines, clock)
    router = APIRouter(prefix="/bank", tags=["bank"])
    add_mode_routes(router, faults)

    @router.post("/instructions")
    async def instruct(wanted: InstructionOrder, request: Request) -> InstructionShown:
        mode = faults.take(MODES_BY_FEN.get(wanted.amount_fen % 100, Mode.NORMAL))
        if mode is Mode.LOST:
            await fall_silent(request)
        late = LATE_S if mode in (Mode.LATE, Mode.LATE_REFUSED) else 0.0
        refused = FROZEN if mode in (Mode.REFUSED, Mode.LATE_REFUSED) else None
        try:
            taken = bank.instruct(Order(**wanted.model_dump()), delay_s=late, refuse_with=refused)
        except IdReused:
            raise HTTPException(409, {"reason": "id-reused"}) from None
        await delay_answer(mode, request)
        if mode is Mode.DUPLICATE:
            raise HTTPException(409, {"reason": "duplicate-instruction"})
        if mode is Mode.WRONG:
            return show(taken).model_copy(update={"id": "somebody-elses", "amount_fen": wanted.amount_fen + 1})
        return show(taken)

    @router.get("/instructions/{instruction_id}")
    async def read_instruction(instruction_id: Id, request: Request) -> InstructionShown:
        # Only an order makes questions fail too: an amount's magic is over once the instruction has been taken.
        mode = faults.take()
        if mode is Mode.LOST:
            await fall_silent(request)
        await delay_answer(mode, request)
        found = bank.find(instruction_id)
        if found is None:
            raise HTTPException(404, {"reason": "instruction-unknown"})
        return show(found)

    @router.put("/accounts/{account}")
    async def open_account(account: Id, wanted: AccountOrder, request: Request) -> AccountShown:
        mode = faults.take()
        if mode is Mode.LOST:
            await fall_silent(request)
        try:
            bank.open_account(account, wanted.citizen)
        except IdReused:
            raise HTTPException(409, {"reason": "account-taken"}) from None
        await delay_answer(mode, request)
        return AccountShown(account=account, balance_fen=bank.balance_fen(account))

    @router.get("/accounts/{account}")
    async def read_account(account: Id) -> AccountShown:
        return AccountShown(account=account, balance_fen=bank.balance_fen(account))

    return router


def show(instruction: Instruction) -> InstructionShown:
    """Write an instruction as it is shown."""
    order = instruction.order
    return InstructionShown(
        id=order.id,
        kind=order.kind,
        account=order.account,
        merchant=order.merchant,
        amount_fen=order.amount_fen,
        debit_id=order.debit_id,
        state=instruction.state,
        reason=instruction.reason,
        received_at=instruction.received_at,
        settled_at=instruction.settled_at,
    )
