"""The card maker outside, and identity-svc, which alone may tell it what to print."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from card_svc.production.domain import Plate
from chassis.egress import Outside, OutsideDown
from chassis.peers import Peer


class CardMaker(Protocol):
    """Makes cards in batches; asking twice for one batch makes it once."""

    async def make(self, batch: UUID, plates: Sequence[Plate]) -> None: ...
    async def is_dispatched(self, batch: UUID) -> bool: ...


class Names(Protocol):
    """Knows what is printed on a citizen's card."""

    async def reveal(self, citizens: Sequence[UUID]) -> dict[UUID, tuple[str, str]]: ...


class CardMakerOverHttp:
    """The card maker's interface."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def make(self, batch: UUID, plates: Sequence[Plate]) -> None:
        """Hand in a batch; raises OutsideDown without a clear yes."""
        body = {
            "batch": str(batch),
            "plates": [
                {"card": str(plate.card), "name": plate.name, "document_number": plate.document_number}
                for plate in plates
            ],
        }
        answer = await self._outside.call("POST", "/batches", body=body, repeatable=True)
        if answer.status not in (200, 201, 202):
            raise OutsideDown(f"The card maker answered {answer.status} to a batch.")

    async def is_dispatched(self, batch: UUID) -> bool:
        """Whether every card of the batch was sent off; raises OutsideDown when the card maker does not know it."""
        answer = await self._outside.call("GET", f"/batches/{batch}", repeatable=True)
        if answer.status != 200:
            raise OutsideDown(f"The card maker answered {answer.status} about a batch that it was given.")
        return bool(answer.body["state"] == "dispatched")

    async def close(self) -> None:
        """Give the connections back."""
        await self._outside.close()


class NamesAtIdentity:
    """Asks identity-svc, which writes down that the names were shown and why."""

    def __init__(self, identity: Peer) -> None:
        self._identity = identity

    async def reveal(self, citizens: Sequence[UUID]) -> dict[UUID, tuple[str, str]]:
        """Return name and document number of each citizen; raises OutsideDown without an answer for all."""
        answer = await self._identity.call(
            "identity.reveal",
            "POST",
            "/internal/citizens/identity",
            body={"citizens": [str(citizen) for citizen in citizens], "purpose": "card production"},
            repeatable=True,
        )
        if answer.status != 200:
            raise OutsideDown(f"identity-svc answered {answer.status} to a question for names.")
        return {UUID(person["citizen"]): (person["name"], person["document_number"]) for person in answer.body}
