"""The public routes of interop-svc: what other parties need in order to trust this cell."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from chassis.web.guard import runtime_of
from chassis.web.models import ListModel, ResponseModel
from interop_svc.domain import TrustedKey, trust_list

router = APIRouter(tags=["interop"])


class TrustedKeyModel(ResponseModel):
    """A public key for card codes."""

    kid: str
    alg: str
    jwk: dict[str, str] = Field(description="JSON Web Key (RFC 7517).")


class TrustListModel(ResponseModel):
    """What a terminal needs to verify this cell's card codes offline."""

    cell: str
    keys: list[TrustedKeyModel]
    as_of: datetime


class CellModel(ResponseModel):
    """A province's installation that this cell knows."""

    cell: str = Field(description="GB/T 2260 code of the province.")
    public_url: str
    trust_list: str


def keys_of(request: Request) -> tuple[TrustedKey, ...]:
    """Return the card-code keys that this process was given."""
    keys: tuple[TrustedKey, ...] = request.app.state.trusted_keys
    return keys


@router.get("/v1/trust-list", operation_id="interop.trust_list")
async def read_trust_list(
    request: Request, keys: Annotated[tuple[TrustedKey, ...], Depends(keys_of)]
) -> TrustListModel:
    """Answer the public keys of this cell's card codes; fetch it daily, and at once for a kid that is not in it."""
    runtime = runtime_of(request)
    trusted = trust_list(runtime.settings.cell, keys, runtime.clock())
    return TrustListModel(
        cell=trusted.cell,
        keys=[TrustedKeyModel(kid=key.kid, alg=key.alg, jwk=dict(key.jwk)) for key in trusted.keys],
        as_of=trusted.as_of,
    )


@router.get("/v1/cells", operation_id="interop.list_cells")
async def list_cells(request: Request) -> ListModel[CellModel]:
    """List the cells that this one knows: itself, as long as it has joined no national network."""
    settings: Any = runtime_of(request).settings
    own = CellModel(
        cell=settings.cell, public_url=settings.public_url, trust_list=f"{settings.public_url}/v1/trust-list"
    )
    return ListModel[CellModel](items=[own])
