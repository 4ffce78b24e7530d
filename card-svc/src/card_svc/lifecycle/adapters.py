"""What the life of a card asks of identity-svc."""

from typing import Protocol
from uuid import UUID

from card_svc.lifecycle.domain import CardNotFound
from chassis.internal_tokens import Caller
from chassis.peers import Peer


class Citizens(Protocol):
    """Knows which citizen a document number belongs to."""

    async def find(self, document_number: str, caller: Caller) -> UUID: ...


class CitizensAtIdentity:
    """Asks identity-svc, along the edge card -> identity."""

    def __init__(self, identity: Peer) -> None:
        self._identity = identity

    async def find(self, document_number: str, caller: Caller) -> UUID:
        """Return the enrolled citizen; raises CardNotFound for a stranger and OutsideDown without an answer."""
        answer = await self._identity.call(
            "identity.find_citizen",
            "POST",
            "/internal/citizens/lookup",
            body={"document_number": document_number},
            caller=caller,
            repeatable=True,
        )
        if answer.status != 200:
            raise CardNotFound
        return UUID(answer.body["citizen"])
