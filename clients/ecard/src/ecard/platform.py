"""One Card's public API, as this channel calls it for a citizen: the card, its codes and its uses."""

from typing import Any, Final

from ecard.calls import Calls, what_refused
from ecard.sessions import Session

STEPS: Final = frozenset({"application", "enabling", "loss-report", "recovery"})
"""What a citizen can do with a card, by the last part of this page's own addresses."""


class Platform:
    """The API behind the gateway; every method raises Refused, SignInAgain or StrongerSignInNeeded."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def card(self, session: Session) -> dict[str, Any] | None:
        """The citizen's card, the newest when there were several."""
        items: list[dict[str, Any]] = (await self._call(session, "GET", "/v1/cards"))["items"]
        return items[0] if items else None

    async def take_step(self, session: Session, step: str, key: str) -> None:
        """Take one of STEPS with the citizen's card; the same key a second time does nothing more."""
        if step == "application":
            await self._call(session, "POST", "/v1/cards", {}, key=key)
        elif card := await self.card(session):
            body: Any = {} if step == "loss-report" else None
            await self._call(session, "POST", f"/v1/cards/{card['card']}/{step}", body, key=key)

    async def code(self, session: Session, card: str) -> dict[str, Any]:
        """A fresh card code."""
        made: dict[str, Any] = await self._call(session, "POST", f"/v1/cards/{card}/codes")
        return made

    async def uses(self, session: Session) -> list[dict[str, Any]]:
        """The newest uses of the card."""
        items: list[dict[str, Any]] = (await self._call(session, "GET", "/v1/uses?limit=20"))["items"]
        return items

    async def scenarios(self, session: Session) -> dict[str, dict[str, str]]:
        """The names of the ways in which a card is used."""
        items = (await self._call(session, "GET", "/v1/scenarios"))["items"]
        return {item["scenario"]: item["name"] for item in items}

    async def _call(self, session: Session, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        headers = {"Authorization": f"Bearer {session.token}"}
        if key:
            headers["Idempotency-Key"] = key
        answer = await self._calls.send(method, path, json=body, headers=headers)
        if answer.is_success:
            return answer.json()
        raise what_refused(answer)
