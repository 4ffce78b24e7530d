"""The two services that a use may have to ask: payment-svc for the charge, card-svc for a card's state now."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from chassis.egress import OutsideDown
from chassis.internal_tokens import Caller
from chassis.peers import Peer
from scenario_svc.uses.domain import CardUse, KnownCard, Refund


@dataclass(frozen=True)
class ChargeState:
    """How a charge stands: held, instructed, unknown, or at its end: confirmed, refused, voided."""

    state: str
    refusal: str | None = None


class Payments(Protocol):
    """Moves the money of a use; every call may be repeated with the same ids."""

    async def charge(self, use: CardUse, caller: Caller | None) -> ChargeState | None: ...
    async def void(self, use: CardUse) -> ChargeState | None: ...
    async def refund(self, refund: Refund, caller: Caller | None) -> str | None: ...


class Cards(Protocol):
    """Knows the state of a card at this moment."""

    async def state_now(self, handle: UUID) -> KnownCard | None: ...


class PaymentsAtPaymentSvc:
    """Asks payment-svc; None where no clear answer came, and then the payment's event will tell."""

    def __init__(self, payment: Peer) -> None:
        self._payment = payment

    async def charge(self, use: CardUse, caller: Caller | None) -> ChargeState | None:
        """Charge a use, with its id as key."""
        body = {
            "charge_id": str(use.id),
            "citizen": str(use.citizen),
            "venue": str(use.venue),
            "terminal": use.terminal,
            "scenario": use.scenario,
            "amount_fen": use.amount_fen,
        }
        return await self._ask("payment.charge", "/internal/charges", body, caller)

    async def void(self, use: CardUse) -> ChargeState | None:
        """Take a charge back, also one that has not arrived yet."""
        return await self._ask("payment.void", f"/internal/charges/{use.id}/void", {}, None)

    async def refund(self, refund: Refund, caller: Caller | None) -> str | None:
        """Give part of a charge back; returns confirmed, refused or, not settled yet, None."""
        body = {"refund_id": str(refund.id), "amount_fen": refund.amount_fen}
        answer = await self._ask("payment.refund", f"/internal/charges/{refund.use}/refunds", body, caller)
        return answer.state if answer and answer.state in ("confirmed", "refused") else None

    async def _ask(self, operation: str, path: str, body: object, caller: Caller | None) -> ChargeState | None:
        try:
            answer = await self._payment.call(operation, "POST", path, body=body, caller=caller, repeatable=True)
        except OutsideDown:
            return None
        if answer.status in (200, 201):
            return ChargeState(answer.body["state"], answer.body.get("refusal"))
        if answer.status in (403, 404, 409, 422):
            return ChargeState("refused", answer.body["code"])
        return None


class CardsAtCardSvc:
    """Asks card-svc."""

    def __init__(self, card: Peer) -> None:
        self._card = card

    async def state_now(self, handle: UUID) -> KnownCard | None:
        """Return the card as it is at this moment, or None without an answer."""
        try:
            answer = await self._card.call("card.state_now", "GET", f"/internal/cards/{handle}/state", repeatable=True)
        except OutsideDown:
            return None
        if answer.status != 200:
            return None
        return KnownCard(
            card=UUID(answer.body["card"]),
            citizen=UUID(answer.body["citizen"]),
            state=answer.body["state"],
            level=answer.body["level"],
            version=answer.body["version"],
            age_s=0.0,
            unknown=False,
        )
