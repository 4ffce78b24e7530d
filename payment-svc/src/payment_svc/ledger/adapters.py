"""The custodian of citizens' accounts: a bank outside."""

from typing import Protocol
from uuid import UUID

from chassis.egress import Outside, OutsideDown


class Custody(Protocol):
    """Keeps accounts; opening one twice opens it once."""

    async def open_account(self, account: UUID) -> None: ...


class BankAccountsOverHttp:
    """The bank's interface for accounts."""

    def __init__(self, bank: Outside) -> None:
        self._bank = bank

    async def open_account(self, account: UUID) -> None:
        """Have the bank know the account; raises OutsideDown without a clear yes.

        The bank opens an account when it first hears of it, and is told no citizen: the account's id is enough.
        """
        answer = await self._bank.call("GET", f"accounts/{account}", repeatable=True)
        if answer.status != 200 or not isinstance(answer.body, dict):
            raise OutsideDown(f"the bank answered {answer.status} when told of an account.")
        if answer.body.get("account") != str(account):
            raise OutsideDown("the bank answered for another account.")
