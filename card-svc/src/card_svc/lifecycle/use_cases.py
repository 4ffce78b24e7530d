"""What a holder, a counter and a loop can do with a card: load, decide, save, tell."""

from datetime import datetime
from uuid import UUID

from card_svc.lifecycle.domain import (
    Card,
    CardNotFound,
    HolderNotKnownYet,
    Level,
    SignedCard,
    State,
    Step,
    apply_for_card,
    take,
)
from card_svc.lifecycle.events import card_applied, card_moved
from card_svc.lifecycle.store import CardStore
from chassis.errors import Unprocessable
from chassis.internal_tokens import Caller
from chassis.work import Work


async def apply(work: Work, caller: Caller, level: Level) -> SignedCard:
    """Apply for a card (申领). Refusals: HolderNotKnownYet, CardExists."""
    citizen = caller.citizen_or_refuse()
    cards = CardStore(work.session)
    area = await cards.area_of_holder(citizen)
    if area is None:
        raise HolderNotKnownYet
    card = apply_for_card(work.new_id(), handle=work.new_id(), citizen=citizen, level=level, area=area, now=work.now)
    await cards.add(card)
    work.emit(card_applied(card))
    return await cards.sign(card, client=caller.client, new_sign=work.new_id())


async def list_cards(work: Work, caller: Caller) -> list[SignedCard]:
    """Return the citizen's cards as this channel knows them, giving each a sign number the first time."""
    cards = CardStore(work.session)
    return [
        await cards.sign(card, client=caller.client, new_sign=work.new_id())
        for card in await cards.list_of(caller.citizen_or_refuse())
    ]


async def read_card(work: Work, caller: Caller, sign: UUID) -> SignedCard:
    """Return one of the citizen's cards; somebody else's, or another channel's number, is not found."""
    return await CardStore(work.session).read_signed(sign, client=caller.client, citizen=caller.citizen_or_refuse())


async def state_at(work: Work, card: Card, moment: datetime) -> State:
    """Return the state that a card had at a past moment, for disputes; nobody knows the future."""
    if moment > work.now:
        raise Unprocessable("That moment has not come yet.", field="at")
    return await CardStore(work.session).state_at(card, moment)


async def move_own_card(work: Work, caller: Caller, sign: UUID, step: Step, *, reason: str | None = None) -> SignedCard:
    """Let a holder take one step with the own card: enable, report loss, recover."""
    cards = CardStore(work.session)
    found = await cards.get_signed(sign, client=caller.client, citizen=caller.citizen_or_refuse())
    card = await _move(work, cards, found.card, step, reason)
    return SignedCard(card=card, sign=found.sign)


async def move_card(work: Work, card_id: UUID, step: Step) -> Card:
    """Take one step with a card on our own account: production."""
    cards = CardStore(work.session)
    return await _move(work, cards, await cards.get(card_id), step, None)


async def hand_over(work: Work, caller: Caller, citizen: UUID) -> SignedCard:
    """Give the dispatched card to its holder at a counter (领卡), where it lies dormant until enabled."""
    cards = CardStore(work.session)
    living = await cards.living_of(citizen)
    if living is None:
        raise CardNotFound
    card = await _move(work, cards, living, Step.HAND_OVER, None)
    return await cards.sign(card, client=caller.client, new_sign=work.new_id())


async def _move(work: Work, cards: CardStore, card: Card, step: Step, reason: str | None) -> Card:
    moved = take(step, card, work.now)
    await cards.save(moved, reason=reason)
    work.emit(card_moved(step, moved))
    return moved
