"""The routes of using a card."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from chassis.pagination import MAX_PAGE, decode_place, encode_place
from chassis.time import Clock
from chassis.web.guard import Keyed, TheCaller, TheWorkshop
from chassis.web.models import AmountFen, ListModel, RequestModel, ResponseModel, Words
from chassis.web.work import TheWork
from contracts import card_code
from contracts.problems.catalogue import CATALOGUE
from scenario_svc.uses.domain import (
    CardUse,
    CodeExpired,
    CodeForged,
    CodeMalformed,
    CodeOfAnotherCell,
    Refund,
    UseState,
)
from scenario_svc.uses.store import UseStore
from scenario_svc.uses.use_cases import Neighbours, ShownCode, read_use, refund_use, use_card
from scenario_svc.venues.domain import Catalogue, ScenarioUnknown

router = APIRouter(tags=["uses"])

SHOWN = {
    UseState.ACCEPTED: Words(zh="验证成功,欢迎使用。", en="Accepted. Welcome."),
    UseState.OPEN: Words(zh="正在结算,请稍候。", en="Being settled. Please wait a moment."),
    UseState.CANCELLED: Words(zh="交易已取消,未扣款。", en="Cancelled. Nothing was charged."),
}


@dataclass(frozen=True)
class CodeReader:
    """Reads what a terminal scanned: verifies it with public keys, then opens the handle inside."""

    verifier: card_code.Verifier
    opener: card_code.HandleOpener
    clock: Clock

    def read(self, text: str) -> ShownCode:
        """Return the verified code and its handle; raises the refusal that a gate shows."""
        try:
            code = self.verifier.verify(text, self.clock())
            return ShownCode(code=code, handle=self.opener.open(code))
        except (card_code.CodeExpired, card_code.CodeNotYetValid) as wrong:
            raise CodeExpired from wrong
        except (card_code.IssuerUnknown, card_code.HandleSealedElsewhere) as wrong:
            raise CodeOfAnotherCell from wrong
        except card_code.CodeForged as wrong:
            raise CodeForged from wrong
        except card_code.CardCodeError as wrong:
            raise CodeMalformed(field="code") from wrong


class UseCard(RequestModel):
    """What a terminal scanned, and for what."""

    code: str = Field(min_length=1, max_length=1000, description="The text of the QR symbol, as it is.")
    scenario: str = Field(min_length=1, max_length=60)
    amount_fen: AmountFen | None = None


class RefundUse(RequestModel):
    """How much is given back."""

    amount_fen: AmountFen


class UseRefusal(ResponseModel):
    """Why the charge was refused."""

    code: str
    show: Words


class UseModel(ResponseModel):
    """One use of a card."""

    use: UUID
    state: str = Field(description="accepted, open (being settled), refused (by the charge) or cancelled.")
    scenario: str
    venue: UUID
    amount_fen: int | None
    refunded_fen: int
    refusal: UseRefusal | None
    show: Words = Field(description="What the gate shows.")
    at: datetime


class RefundModel(ResponseModel):
    """Part of a charge that is given back."""

    refund: UUID
    use: UUID
    amount_fen: int
    state: str = Field(description="open (being settled), confirmed or refused.")


def reader_of(request: Request) -> CodeReader:
    """Return what holds the keys to read codes."""
    reader: CodeReader = request.app.state.code_reader
    return reader


def neighbours_of(request: Request) -> Neighbours:
    """Return the services that a use may have to ask."""
    neighbours: Neighbours = request.app.state.neighbours
    return neighbours


def catalogue_of(request: Request) -> Catalogue:
    """Return the catalogue of scenarios."""
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


TheNeighbours = Annotated[Neighbours, Depends(neighbours_of)]


def _model(use: CardUse) -> UseModel:
    refusal = None
    if use.refusal is not None:
        problem = CATALOGUE[use.refusal]
        refusal = UseRefusal(code=use.refusal, show=Words(zh=problem.show_zh, en=problem.show_en))
    return UseModel(
        use=use.id,
        state=use.state.value,
        scenario=use.scenario,
        venue=use.venue,
        amount_fen=use.amount_fen,
        refunded_fen=use.refunded_fen,
        refusal=refusal,
        show=refusal.show if refusal else SHOWN[use.state],
        at=use.created_at,
    )


def _refund_model(refund: Refund) -> RefundModel:
    return RefundModel(refund=refund.id, use=refund.use, amount_fen=refund.amount_fen, state=refund.state)


@router.post("/v1/uses", operation_id="scenario.use_card", status_code=201)
async def use(
    body: UseCard,
    workshop: TheWorkshop,
    caller: TheCaller,
    request: Keyed,
    near: TheNeighbours,
    reader: Annotated[CodeReader, Depends(reader_of)],
    catalogue: Annotated[Catalogue, Depends(catalogue_of)],
) -> UseModel:
    """Use a card at this terminal: verify the code, decide, redeem it once, and charge where the scenario charges."""
    scenario = catalogue.get(body.scenario)
    if scenario is None:
        raise ScenarioUnknown(field="scenario")
    used = await use_card(
        workshop,
        near,
        caller,
        request,
        read_code=lambda: reader.read(body.code),
        scenario=scenario,
        amount_fen=body.amount_fen,
    )
    return _model(used)


@router.get("/v1/uses", operation_id="scenario.list_uses")
async def list_uses(
    work: TheWork,
    caller: TheCaller,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
) -> ListModel[UseModel]:
    """List the citizen's own uses, newest first."""
    page = await UseStore(work.session).list_of(caller.citizen_or_refuse(), decode_place(cursor), limit)
    return ListModel[UseModel](items=[_model(use) for use in page.items], next=encode_place(page.next))


@router.get("/v1/uses/{use}", operation_id="scenario.read_use")
async def read(use: UUID, work: TheWork, caller: TheCaller) -> UseModel:
    """Read a use: the terminal that made it and the citizen may."""
    return _model(await read_use(work, caller, use))


@router.post("/v1/uses/{use}/refunds", operation_id="scenario.refund_use", status_code=201)
async def refund(
    use: UUID, body: RefundUse, workshop: TheWorkshop, caller: TheCaller, request: Keyed, near: TheNeighbours
) -> RefundModel:
    """Give back part or all of a charge, from the terminal that made it."""
    return _refund_model(await refund_use(workshop, near, caller, request, use_id=use, amount_fen=body.amount_fen))
