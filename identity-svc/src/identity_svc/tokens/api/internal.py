"""What the gateway asks for itself: the revocation list and the signing keys. Not routed from outside."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from chassis.web.models import ResponseModel
from chassis.web.work import TheWork
from identity_svc.tokens.api.endpoints import TheDesk
from identity_svc.tokens.domain.access_token import OWN_LIFETIME_S
from identity_svc.tokens.store import REVOCATIONS_A_PAGE, RevocationStore
from identity_svc.tokens.use_cases.desk import milliseconds

router = APIRouter(tags=["Internal"])


class RevocationAnswer(ResponseModel):
    """Tokens that name `id` and were issued before `not_before_ms` are dead."""

    id: str
    not_before_ms: int
    n: int


class RevocationsAnswer(ResponseModel):
    """Entries after a number, in order; `more` says that the next page is to be asked for at once."""

    entries: list[RevocationAnswer]
    newest: int
    more: bool


@router.get("/internal/revocations", operation_id="identity.revocations")
async def revocations(work: TheWork, after: Annotated[int, Query(ge=0, lt=2**63)] = 0) -> RevocationsAnswer:
    """Return what was revoked after number `after`; what no living token can be older than is left out."""
    store = RevocationStore(work.session)
    # Read first: what is numbered between the two reads is then asked for again, never passed over.
    newest = await store.newest()
    found = await store.after(after, since_ms=milliseconds(work) - 2 * OWN_LIFETIME_S * 1000)
    entries = [RevocationAnswer(id=one.id, not_before_ms=one.not_before_ms, n=one.n) for one in found]
    return RevocationsAnswer(entries=entries, newest=newest, more=len(entries) == REVOCATIONS_A_PAGE)


@router.get("/internal/keys", operation_id="identity.keys")
async def keys(desk: TheDesk) -> dict[str, Any]:
    """Return the public keys of access tokens, by their ids."""
    return desk.smith.jwks()
