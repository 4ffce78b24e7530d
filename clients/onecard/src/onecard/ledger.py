"""The ledger's invariants, as payment-svc computes them in one snapshot."""

from dataclasses import dataclass

from onecard.cell import Cell


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Figures of one moment; money in whole fen."""

    ok: bool
    broken: tuple[str, ...]
    sum_fen: int
    balances_sum_fen: int
    entries: int
    accounts: int
    up_to_position: int
    held_fen: int
    open_payments: int
    open_payments_fen: int
    returning_fen: int
    open_refunds: int
    open_refunds_fen: int
    waiting_long: int  # payments and refunds that the bank has not decided for over an hour


def read_ledger(cell: Cell) -> Ledger:
    """Ask payment-svc."""
    said = cell.get("/v1/ledger/invariants", scope="ledger.read")
    numbers = {name: said.whole(name) for name, kind in Ledger.__annotations__.items() if kind is int}
    return Ledger(ok=said.flag("ok"), broken=tuple(said.texts("broken")), **numbers)
