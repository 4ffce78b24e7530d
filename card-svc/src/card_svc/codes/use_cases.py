"""Issuing a card code (卡码): 60 seconds of proof that an active card is being shown.

A code is not stored: it is counted where it is redeemed. Issuing one is therefore repeatable and takes no key.
"""

from uuid import UUID

from card_svc.codes.domain import refuse_unless_active
from card_svc.lifecycle.use_cases import read_card
from chassis.internal_tokens import Caller
from chassis.work import Work
from contracts.card_code import CodeMaker, MadeCode


async def issue_code(work: Work, caller: Caller, sign: UUID, maker: CodeMaker) -> MadeCode:
    """Make a fresh code of the caller's own active card. Refusals: CardNotFound, CardNotActive."""
    signed = await read_card(work, caller, sign)
    refuse_unless_active(signed.card)
    return maker.make(signed.card.handle, work.now)
