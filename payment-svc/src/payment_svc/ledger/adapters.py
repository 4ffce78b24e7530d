"""The custodian of citizens' accounts: a bank outside."""

from typing import Protocol
from uuid import UUID

from chassis.egress import Outside, OutsideDown


class Custody(Protocol):
    """Keeps accounts; opening one twice opens it once."""

    async def open_account(self, account: UUID, citizen: UUID) -> None: ...


class BankAccountsOverHttp:
    """The bank's interface for accounts."""

    def __init__(self, bank: Outside) -> None:
        self._bank = bank

    async def open_account(self, account: UUID, citizen: UUID) -> None:
        """Have the bank open the account; raises OutsideDown without a clear yes."""
        answer = await self._bank.call("PUT", f"accounts/{account}", body={"citizen": str(citizen)}, repeatable=True)
        if answer.status not in (200, 201) or not isinstance(answer.body, dict):
            raise OutsideDown(f"the bank answered {answer.status} to the opening of an account.")
        if answer.body.get("account") != str(account):
            raise OutsideDown("the bank answered for another account.")
