"""The population register (人口库), behind the port of the domain.

Invariant: whatever the register does wrong is "unavailable", whatever the claim: no fault of it tells people apart.
"""

from datetime import date
from typing import Any

from chassis.egress import Outside, OutsideDown
from identity_svc.people.domain import Claim, RegisterAnswer, RegisterUnavailable


class RegisterOutside:
    """Asks the register over HTTP; one deadline over all attempts, and a circuit breaker."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def check(self, claim: Claim) -> RegisterAnswer:
        """Ask whether number, name and phone belong together; raises RegisterUnavailable."""
        body = {"document_number": claim.document_number.text, "name": claim.name, "phone": claim.phone}
        try:
            answer = await self._outside.call("POST", "/checks", body=body, repeatable=True)
            if answer.status != 200:
                raise RegisterUnavailable
            return _read(answer.body, claim)
        except (OutsideDown, KeyError, TypeError, ValueError) as wrong:
            raise RegisterUnavailable from wrong

    async def close(self) -> None:
        """Give the connections back."""
        await self._outside.close()


def _read(body: Any, claim: Claim) -> RegisterAnswer:
    if not isinstance(body["match"], bool):
        raise TypeError("neither a match nor none")
    if not body["match"]:
        number = claim.document_number
        return RegisterAnswer(match=False, area=number.area, birth_month=number.birth_date.strftime("%Y-%m"))
    born, area = date.fromisoformat(body["birth_date"]), body["area"]
    if not (isinstance(area, str) and area.isascii() and area.isdigit() and len(area) == 6):
        raise ValueError("not an area of GB/T 2260")
    return RegisterAnswer(match=True, area=area, birth_month=born.strftime("%Y-%m"))
