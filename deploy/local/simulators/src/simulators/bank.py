"""The bank's books: instructions carried out exactly once, and balances that really move.

Invariant: an instruction moves money at most once, whatever is repeated, delayed or restarted; every fen that leaves
an account arrives in another. Pure rules and a line file; `bank_api` speaks HTTP.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from simulators.lines import LineFile

OPENING_BALANCE_FEN: Final = 100_000
"""What a citizen's account holds when it is first heard of: 1,000 yuan."""


class Kind(StrEnum):
    """Which way the money goes: from the account to the merchant, or back."""

    DEBIT = "debit"
    REFUND = "refund"


class State(StrEnum):
    """How far the bank is."""

    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What we are told to do; the same id with another content is refused."""

    id: str
    kind: Kind
    account: str
    merchant: str
    amount_fen: int
    debit_id: str | None = None  # for a refund: the debit that it gives back


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """An order and what became of it."""

    order: Order
    received_at: datetime
    settles_at: datetime
    refuse_with: str | None = None  # decided in advance by a scripted mode
    state: State = State.ACCEPTED
    reason: str | None = None
    settled_at: datetime | None = None


class IdReused(Exception):
    """The id stands for another instruction, or the account is another citizen's."""


class Bank:
    """Accounts and instructions, in memory and in a line file."""

    def __init__(self, lines: LineFile, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lines = lines
        self._instructions: dict[str, Instruction] = {}
        self._waiting: set[str] = set()
        self._balances: dict[str, int] = {}
        self._refunded: dict[str, int] = {}
        self._holders: dict[str, str] = {}
        for line in lines.read():
            if "order" in line:
                self._apply(_from_line(line))
            else:
                self._open(**line)

    def instruct(self, order: Order, *, delay_s: float = 0.0, refuse_with: str | None = None) -> Instruction:
        """Take an order, once; IdReused when its id stands for another. With no delay it is settled at once."""
        known = self._instructions.get(order.id)
        if known is not None:
            if known.order != order:
                raise IdReused
            return self.find(order.id) or known
        now = self._clock()
        settles_at = now + timedelta(seconds=delay_s)
        self._write(Instruction(order=order, received_at=now, settles_at=settles_at, refuse_with=refuse_with))
        self._settle_due(now)
        return self._instructions[order.id]

    def open_account(self, account: str, citizen: str) -> None:
        """Open an account with its opening balance, once; IdReused when it is somebody else's."""
        holder = self._holders.get(account)
        if holder is None:
            self._lines.append({"account": account, "citizen": citizen})
            self._open(account, citizen)
        elif holder != citizen:
            raise IdReused

    def find(self, instruction_id: str) -> Instruction | None:
        """Return an instruction as it is now, or None when it never arrived."""
        self._settle_due(self._clock())
        return self._instructions.get(instruction_id)

    def balance_fen(self, account: str) -> int:
        """Say what an account holds; one that nobody has mentioned yet holds its opening balance."""
        self._settle_due(self._clock())
        return self._balances.get(account, OPENING_BALANCE_FEN)

    def _open(self, account: str, citizen: str) -> None:
        self._holders[account] = citizen
        self._balances.setdefault(account, OPENING_BALANCE_FEN)

    def _settle_due(self, now: datetime) -> None:
        due = [self._instructions[waiting] for waiting in self._waiting]
        for instruction in sorted(due, key=lambda one: (one.settles_at, one.received_at)):
            if instruction.settles_at <= now:
                reason = instruction.refuse_with or self._why_not(instruction.order)
                state = State.REFUSED if reason else State.CONFIRMED
                self._write(replace(instruction, state=state, reason=reason, settled_at=now))

    def _why_not(self, order: Order) -> str | None:
        if order.kind is Kind.DEBIT:
            held = self._balances.get(order.account, OPENING_BALANCE_FEN)
            return "insufficient-funds" if order.amount_fen > held else None
        debit = self._instructions.get(order.debit_id or "")
        if debit is None or debit.order.kind is not Kind.DEBIT or debit.state is not State.CONFIRMED:
            return "debit-unknown"
        if (debit.order.account, debit.order.merchant) != (order.account, order.merchant):
            return "debit-unknown"
        remains = debit.order.amount_fen - self._refunded.get(debit.order.id, 0)
        return "refund-exceeds-debit" if order.amount_fen > remains else None

    def _write(self, instruction: Instruction) -> None:
        self._lines.append(_to_line(instruction))
        self._apply(instruction)

    def _apply(self, instruction: Instruction) -> None:
        """Bring memory to what the line says; the only place where money moves."""
        order = instruction.order
        self._instructions[order.id] = instruction
        if instruction.state is State.ACCEPTED:
            self._waiting.add(order.id)
            self._balances.setdefault(order.account, OPENING_BALANCE_FEN)
            self._balances.setdefault(order.merchant, 0)
            return
        self._waiting.discard(order.id)
        if instruction.state is State.CONFIRMED:
            moved = order.amount_fen if order.kind is Kind.DEBIT else -order.amount_fen
            self._balances[order.account] -= moved
            self._balances[order.merchant] += moved
            if order.kind is Kind.REFUND and order.debit_id:
                self._refunded[order.debit_id] = self._refunded.get(order.debit_id, 0) + order.amount_fen


def _to_line(instruction: Instruction) -> dict[str, Any]:
    times = ("received_at", "settles_at", "settled_at")
    line = asdict(instruction)
    return line | {name: line[name] and line[name].isoformat() for name in times}


def _from_line(line: dict[str, Any]) -> Instruction:
    order = Order(**(line["order"] | {"kind": Kind(line["order"]["kind"])}))
    settled_at = line["settled_at"]
    return Instruction(
        order=order,
        received_at=datetime.fromisoformat(line["received_at"]),
        settles_at=datetime.fromisoformat(line["settles_at"]),
        refuse_with=line["refuse_with"],
        state=State(line["state"]),
        reason=line["reason"],
        settled_at=settled_at and datetime.fromisoformat(settled_at),
    )
