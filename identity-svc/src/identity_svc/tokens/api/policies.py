"""POST and GET /v1/exchange-policies: under which terms a client may swap tokens for an audience."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from chassis.idempotency import once
from chassis.pagination import MAX_PAGE, decode_place, encode_place
from chassis.web.guard import Keyed
from chassis.web.models import ListModel, RequestModel, ResponseModel
from chassis.web.work import TheWork
from identity_svc.tokens.api.endpoints import TheDesk
from identity_svc.tokens.domain.assurance import REAL_NAME
from identity_svc.tokens.domain.exchange import ExchangePolicy
from identity_svc.tokens.store import PolicyStore
from identity_svc.tokens.use_cases.exchanging import set_policy

router = APIRouter(tags=["Exchange policies"])

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class PolicyRequest(RequestModel):
    """What a client may make of tokens for one audience; takes the place of the policy before."""

    client_id: Name
    audience: Annotated[Name, Field(description="A URI that a client is registered with, or this API itself.")]
    scopes: Annotated[frozenset[Name], Field(min_length=1, max_length=50)]
    max_lifetime_s: Annotated[int, Field(strict=True, ge=10, le=600)]
    min_acr: str = REAL_NAME
    subject_clients: Annotated[
        frozenset[Name],
        Field(max_length=50, description="Clients whose tokens it may swap besides its own and those made for it."),
    ] = frozenset()


class PolicyAnswer(ResponseModel):
    """A policy as it stands."""

    id: UUID
    client_id: str
    audience: str
    scopes: list[str]
    max_lifetime_s: int
    min_acr: str
    subject_clients: list[str]


def _answer(policy: ExchangePolicy) -> PolicyAnswer:
    return PolicyAnswer(
        id=policy.id,
        client_id=policy.client_id,
        audience=policy.audience,
        scopes=sorted(policy.scopes),
        max_lifetime_s=policy.max_lifetime_s,
        min_acr=policy.min_acr,
        subject_clients=sorted(policy.subject_clients),
    )


@router.post("/v1/exchange-policies", operation_id="identity.set_exchange_policy", status_code=201)
async def set_exchange_policy(body: PolicyRequest, work: TheWork, key: Keyed, desk: TheDesk) -> PolicyAnswer:
    """Allow a client to swap tokens for an audience, within these bounds."""
    policy = ExchangePolicy(
        id=work.new_id(),
        client_id=body.client_id,
        audience=body.audience,
        # Scopes of clients are never a citizen's to hand on.
        scopes=body.scopes,
        max_lifetime_s=body.max_lifetime_s,
        min_acr=body.min_acr,
        subject_clients=body.subject_clients,
    )

    async def create() -> tuple[UUID, ExchangePolicy]:
        kept = await set_policy(work, desk, policy)
        return kept.id, kept

    return _answer(await once(work, key, create, PolicyStore(work.session).get))


@router.get("/v1/exchange-policies", operation_id="identity.list_exchange_policies")
async def list_exchange_policies(
    work: TheWork,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
) -> ListModel[PolicyAnswer]:
    """Return all policies, last changed first."""
    page = await PolicyStore(work.session).list(decode_place(cursor), limit)
    return ListModel(items=[_answer(policy) for policy in page.items], next=encode_place(page.next))
