"""The face check of an outside provider (人脸识别).

Invariant: we learn whether the face was the citizen's and alive, and never see a picture; whatever is not a plain yes
counts as no.
"""

from urllib.parse import urlsplit

from chassis.egress import Outside, OutsideDown
from contracts.document_number import DocumentNumber


class FaceCheck:
    """Opens checks and asks how they ended."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def begin(self, number: DocumentNumber, return_url: str) -> str:
        """Return the address of the page on which the citizen looks into the camera; raises OutsideDown.

        Repeatable: a session that nobody opens ends by itself.
        """
        body = {"document_number": number.text, "return_url": return_url}
        answer = await self._outside.call("POST", "/sessions", body=body, repeatable=True)
        url = answer.body.get("url") if isinstance(answer.body, dict) else None
        if answer.status != 201 or not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
            raise OutsideDown("face did not open a check.")
        return url

    async def passed(self, number: DocumentNumber, result: str) -> bool:
        """Whether the check that came back with this reference was passed by this person; raises OutsideDown.

        Not repeatable: a reference is used up by the first answer.
        """
        body = {"document_number": number.text, "result": result}
        answer = await self._outside.call("POST", "/checks", body=body, repeatable=False)
        if answer.status != 200 or not isinstance(answer.body, dict):
            return False
        return answer.body.get("match") is True and answer.body.get("live") is True

    async def close(self) -> None:
        """Give the connections back."""
        await self._outside.close()
