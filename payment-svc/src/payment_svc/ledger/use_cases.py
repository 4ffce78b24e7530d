"""Opening accounts: ours in the consumer's transaction, the custodian's by a call of its own afterwards."""

from collections.abc import Sequence
from uuid import UUID

import structlog

from chassis.errors import Unavailable
from chassis.work import Work, Workshop
from payment_svc.ledger.adapters import Custody
from payment_svc.ledger.domain import CitizenAccount, Opening, next_call
from payment_svc.ledger.events import account_opened
from payment_svc.ledger.store import LedgerStore

_log = structlog.get_logger(__name__)


async def open_accounts(work: Work, citizens: Sequence[UUID]) -> None:
    """Open an account for each citizen that has none."""
    ledger = LedgerStore(await work.asyncpg())
    for account, citizen in await ledger.open_for_citizens(citizens, work.new_id, work.now):
        work.emit(account_opened(account, citizen))


async def accounts_of(work: Work, citizen: UUID) -> list[CitizenAccount]:
    """Return a citizen's accounts, paid and held of one moment."""
    return await LedgerStore(await work.asyncpg()).accounts_of(citizen)


async def tell_custodians(workshop: Workshop, custody: Custody) -> int:
    """Tell custodians of accounts that they do not know yet; one that is silent is asked again later."""
    async with workshop.begin() as work:
        due = await LedgerStore(await work.asyncpg()).claim_openings(work.now)
    for opening in due:
        await _tell(workshop, custody, opening)
    return len(due)


async def _tell(workshop: Workshop, custody: Custody, opening: Opening) -> None:
    try:
        await custody.open_account(opening.account, opening.citizen)
        told = True
    except Unavailable as down:
        _log.warning("account not opened", account=str(opening.account), tries=opening.tries, why=down.detail)
        told = False
    async with workshop.begin() as work:
        ledger = LedgerStore(await work.asyncpg())
        if told:
            await ledger.mark_open(opening.account)
        else:
            await ledger.put_off(opening.account, work.now + next_call(opening.tries))
