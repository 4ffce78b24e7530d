"""The provider of text messages."""

from chassis.egress import Outside, OutsideDown
from identity_svc.messages.domain import Sms


class SmsProvider:
    """Hands text messages over to the one who delivers them."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def send(self, sms: Sms) -> None:
        """Hand one over; raises OutsideDown when it was not taken.

        Repeatable: the provider knows a repeated message by its id.
        """
        body = {"id": str(sms.id), "phone": sms.phone, "text": sms.words}
        answer = await self._outside.call("POST", "/messages", body=body, repeatable=True)
        if answer.status >= 400:
            raise OutsideDown(f"sms answered {answer.status}.")

    async def close(self) -> None:
        """Give the connections back."""
        await self._outside.close()
