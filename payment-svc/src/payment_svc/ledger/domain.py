"""Double entry (复式记账) in whole fen: accounts, and the postings that move money between them.

Invariant: the entries of a posting sum to 0, so money is only ever moved. Whose money it is, the custodian says: what
a bank holds is not ours to have a balance of, so an account here tells what went through the card, not what is left.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from uuid import UUID

Custodian = Literal["bank", "us", "tax_authority", "medical_insurer", "treasury"]

BANK: Custodian = "bank"


class Step(StrEnum):
    """The three things that can happen to money on its way; each at most once for a payment or refund."""

    HOLD = "hold"  # from the payer's settled account into what is in flight
    SETTLE = "settle"  # from in flight to the payee
    RELEASE = "release"  # from in flight back to the payer


class UnbalancedPosting(ValueError):
    """The entries of a posting do not sum to 0."""


@dataclass(frozen=True, kw_only=True)
class AccountPair:
    """The two accounts of one owner."""

    settled: UUID
    in_flight: UUID
    open_at_custodian: bool  # whether the custodian knows the account already


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a posting; what leaves an account is negative."""

    account: UUID
    amount_fen: int


@dataclass(frozen=True, kw_only=True)
class Posting:
    """Entries that belong together."""

    posting: UUID
    subject: UUID  # the payment or refund whose money moves
    step: Step
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        if sum(entry.amount_fen for entry in self.entries) != 0:
            raise UnbalancedPosting(f"the posting {self.posting} does not sum to 0")


@dataclass(frozen=True, kw_only=True)
class CitizenAccount:
    """An account as its owner sees it; paid and held are of one moment."""

    account: UUID
    custodian: Custodian
    state: Literal["opening", "open"]
    paid_fen: int  # settled payments less settled refunds
    held_fen: int  # reserved for payments that the custodian has not decided
    opened_at: datetime


@dataclass(frozen=True, kw_only=True)
class Opening:
    """An account that its custodian has to be told of."""

    account: UUID
    citizen: UUID
    tries: int


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The ledger as a whole at one moment."""

    sum_fen: int  # of all entries: 0
    balances_sum_fen: int  # of all accounts: 0
    entries: int
    accounts: int
    postings_off_balance: int  # whose entries do not sum to 0, or that have none
    accounts_adrift: int  # whose balance is not the sum of their entries
    held_fen: int  # in flight from citizens to venues
    returning_fen: int  # in flight from venues to citizens
    up_to_position: int  # of our journal: everything told up to there is in these figures


def transfer(posting: UUID, *, subject: UUID, step: Step, source: UUID, target: UUID, amount_fen: int) -> Posting:
    """Move `amount_fen` from `source` to `target`."""
    return Posting(
        posting=posting,
        subject=subject,
        step=step,
        entries=(Entry(account=source, amount_fen=-amount_fen), Entry(account=target, amount_fen=amount_fen)),
    )


def next_call(tries: int) -> timedelta:
    """How long to wait before a custodian is called again: half a second, doubling, at most a minute."""
    return timedelta(seconds=min(60.0, 0.5 * 2.0 ** min(tries, 7)))
