"""The routes of a card's life."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from card_svc.lifecycle import use_cases
from card_svc.lifecycle.adapters import Citizens
from card_svc.lifecycle.domain import SignedCard, Step
from card_svc.lifecycle.store import CardStore
from chassis.idempotency import once
from chassis.web.guard import Keyed, TheCaller, TheWorkshop
from chassis.web.models import ListModel, RequestModel, ResponseModel
from chassis.web.work import TheWork

router = APIRouter(tags=["cards"])


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as wrong:  # the first or last day that a calendar here knows
        raise ValueError("no such moment in UTC") from wrong


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


def _refuse_what_only_equals(value: object) -> object:
    """To Python true equals 1; to whoever wrote the request it does not."""
    if type(value) is not int:
        raise ValueError("not a whole number")
    return value


class ApplyForCard(RequestModel):
    """What is asked for."""

    level: Annotated[Literal[1, 2], BeforeValidator(_refuse_what_only_equals)] = Field(
        2, description="1 = identity and queries; 2 = with a bank account, so that payment works."
    )


class ReportLoss(RequestModel):
    """Why the card is stopped."""

    reason: str | None = Field(None, max_length=200)


class HandOver(RequestModel):
    """Whose card is handed over, as their identity document says."""

    document_number: str = Field(min_length=18, max_length=18)


class CardModel(ResponseModel):
    """A card as the calling channel knows it."""

    card: UUID = Field(description="The sign number (签发号): this channel's own id of the card.")
    state: str
    level: int
    area: str = Field(description="Area of issue, GB/T 2260.")
    version: int
    changed_at: datetime


class CardStateModel(ResponseModel):
    """The state that a card had at a moment."""

    card: UUID
    state: str
    at: datetime


class InternalCardState(ResponseModel):
    """A card's state for another service of this cell."""

    card: UUID
    citizen: UUID
    state: str
    level: int
    version: int


def citizens_of(request: Request) -> Citizens:
    """Return the port to identity-svc."""
    citizens: Citizens = request.app.state.citizens
    return citizens


def _model(signed: SignedCard) -> CardModel:
    card = signed.card
    return CardModel(
        card=signed.sign,
        state=card.state.value,
        level=card.level,
        area=card.area,
        version=card.version,
        changed_at=card.changed_at,
    )


@router.post("/v1/cards", operation_id="card.apply", status_code=201)
async def apply(body: ApplyForCard, work: TheWork, caller: TheCaller, request: Keyed) -> CardModel:
    """Apply for a card (申领)."""

    async def create() -> tuple[UUID, SignedCard]:
        signed = await use_cases.apply(work, caller, body.level)
        return signed.sign, signed

    return _model(await once(work, request, create, lambda sign: use_cases.read_card(work, caller, sign)))


@router.get("/v1/cards", operation_id="card.list")
async def list_cards(work: TheWork, caller: TheCaller) -> ListModel[CardModel]:
    """List the citizen's own cards, newest first."""
    return ListModel[CardModel](items=[_model(signed) for signed in await use_cases.list_cards(work, caller)])


@router.get("/v1/cards/{card}", operation_id="card.read")
async def read(
    card: UUID,
    work: TheWork,
    caller: TheCaller,
    at: Annotated[Moment | None, Query(description="Answer the state at this past moment.")] = None,
) -> CardModel | CardStateModel:
    """Read a card as it is, or the state that it had at a past moment."""
    signed = await use_cases.read_card(work, caller, card)
    if at is None:
        return _model(signed)
    state = await use_cases.state_at(work, signed.card, at)
    return CardStateModel(card=card, state=state.value, at=at)


async def _step(
    step: Step, card: UUID, work: TheWork, caller: TheCaller, request: Keyed, reason: str | None = None
) -> CardModel:
    async def create() -> tuple[UUID, SignedCard]:
        signed = await use_cases.move_own_card(work, caller, card, step, reason=reason)
        return signed.sign, signed

    return _model(await once(work, request, create, lambda sign: use_cases.read_card(work, caller, sign)))


@router.post("/v1/cards/{card}/enabling", operation_id="card.enable")
async def enable(card: UUID, work: TheWork, caller: TheCaller, request: Keyed) -> CardModel:
    """Enable a card that lies dormant (启用)."""
    return await _step(Step.ENABLE, card, work, caller, request)


@router.post("/v1/cards/{card}/loss-report", operation_id="card.report_loss")
async def report_loss(card: UUID, body: ReportLoss, work: TheWork, caller: TheCaller, request: Keyed) -> CardModel:
    """Stop a card that its holder has lost (挂失); it can be recovered (解挂)."""
    return await _step(Step.REPORT_LOSS, card, work, caller, request, body.reason)


@router.post("/v1/cards/{card}/recovery", operation_id="card.recover")
async def recover(card: UUID, work: TheWork, caller: TheCaller, request: Keyed) -> CardModel:
    """Let a card work again that its holder has found (解挂)."""
    return await _step(Step.RECOVER, card, work, caller, request)


@router.post("/v1/counter/handovers", operation_id="card.hand_over")
async def hand_over(
    body: HandOver,
    workshop: TheWorkshop,
    caller: TheCaller,
    request: Keyed,
    citizens: Annotated[Citizens, Depends(citizens_of)],
) -> CardModel:
    """Give a dispatched card to its holder (领卡); the counter has looked at the identity document."""
    citizen = await citizens.find(body.document_number, caller)
    async with workshop.begin(caller) as work:

        async def create() -> tuple[UUID, SignedCard]:
            signed = await use_cases.hand_over(work, caller, citizen)
            return signed.card.id, signed

        async def read_again(card_id: UUID) -> SignedCard:
            cards = CardStore(work.session)
            return await cards.sign(await cards.get(card_id), client=caller.client, new_sign=work.new_id())

        signed = await once(work, request, create, read_again)
    return _model(signed)


@router.get("/internal/cards/{handle}/state", operation_id="card.state_now")
async def state_now(handle: UUID, work: TheWork) -> InternalCardState:
    """Answer another service of this cell whose copy of the card is too old."""
    card = await CardStore(work.session).by_handle(handle)
    return InternalCardState(
        card=card.id, citizen=card.citizen, state=card.state.value, level=card.level, version=card.version
    )
