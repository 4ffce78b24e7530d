"""The routes by which citizens see their accounts."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from chassis.web.guard import TheCaller
from chassis.web.models import ListModel, ResponseModel
from chassis.web.work import TheWork
from payment_svc.ledger.domain import CitizenAccount
from payment_svc.ledger.use_cases import accounts_of

router = APIRouter(tags=["accounts"])


class AccountModel(ResponseModel):
    """An account behind a card; `paid_fen` and `held_fen` are of one moment."""

    account: UUID
    custodian: str = Field(
        description="Whose books hold the money: bank, us, tax_authority, medical_insurer, treasury."
    )
    state: str = Field(description="opening = the custodian is being told, open = payments work.")
    paid_fen: int = Field(description="What was paid with the card, less what was refunded.")
    held_fen: int = Field(description="Reserved for payments that the custodian has not decided yet.")
    opened_at: datetime


def _model(account: CitizenAccount) -> AccountModel:
    return AccountModel(
        account=account.account,
        custodian=account.custodian,
        state=account.state,
        paid_fen=account.paid_fen,
        held_fen=account.held_fen,
        opened_at=account.opened_at,
    )


@router.get("/v1/accounts", operation_id="payment.list_accounts")
async def list_accounts(caller: TheCaller, work: TheWork) -> ListModel[AccountModel]:
    """List the caller's own accounts. The bank alone knows what is left on one."""
    accounts = await accounts_of(work, caller.citizen_or_refuse())
    return ListModel(items=[_model(account) for account in accounts])
