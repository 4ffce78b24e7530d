"""The route that hands out card codes."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from card_svc.codes.use_cases import issue_code
from chassis.web.guard import TheCaller
from chassis.web.models import ResponseModel
from chassis.web.work import TheWork
from contracts.card_code import CodeMaker

router = APIRouter(tags=["codes"])


class CodeModel(ResponseModel):
    """A card code, ready for a QR symbol."""

    code: str = Field(description="Put it into the QR symbol as it is; alphanumeric mode holds it in version 9-M.")
    issued_at: datetime
    expires_at: datetime


def maker_of(request: Request) -> CodeMaker:
    """Return what holds the cell's code keys."""
    maker: CodeMaker = request.app.state.code_maker
    return maker


@router.post("/v1/cards/{card}/codes", operation_id="card.issue_code", status_code=201)
async def issue(
    card: UUID, work: TheWork, caller: TheCaller, maker: Annotated[CodeMaker, Depends(maker_of)]
) -> CodeModel:
    """Issue a code of the caller's own active card, good for 60 seconds and for one use."""
    made = await issue_code(work, caller, card, maker)
    return CodeModel(code=made.text, issued_at=made.issued_at, expires_at=made.expires_at)
