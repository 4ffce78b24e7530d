"""The gate page: reads a code by paste or camera, uses the card, and shows the answer large.

Invariant: the page works without script; with it, a browser that can read QR codes fills the form from the camera.
"""

import re
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response

from contracts.card_code import CardCodeError, IssuerUnknown, Verifier
from simulators.gate import verdicts
from simulators.gate.platform import Platform, PlatformSilent
from simulators.gate.terminals import GATES, Gate, NotRegistered, read_credentials
from simulators.gate.verdicts import Verdict
from simulators.pages import page

TRUSTS_NOBODY = Verifier({})
"""Tells a code from what is none, when there is no trust list to verify it with."""
_YUAN = re.compile(r"([0-9]{1,5})(?:\.([0-9]{1,2}))?", re.ASCII)


class GatePage:
    """The gates of one cell."""

    def __init__(self, platform: Platform, clients: Path | None, clock: Callable[[], datetime]) -> None:
        self._platform = platform
        self._clients = clients
        self._clock = clock

    async def use(self, gate: Gate, code: str, yuan: str, key: str) -> Verdict:
        """Look at the code ourselves, then let the platform decide."""
        amount_fen = to_fen(yuan) if gate.charges else None
        if gate.charges and not amount_fen:
            return verdicts.AMOUNT_UNREADABLE
        try:
            await self._verify(code)
            who = read_credentials(self._clients, gate.key)
            return verdicts.of_answer(await self._platform.use(who, key, code, gate.scenario, amount_fen))
        except CardCodeError as refused:
            return verdicts.of_code(refused)
        except NotRegistered:
            return verdicts.NOT_REGISTERED
        except PlatformSilent:
            return verdicts.SILENT

    async def settled(self, gate: Gate, use_id: str) -> Verdict:
        """Ask once more about a use that was open."""
        try:
            who = read_credentials(self._clients, gate.key)
            return verdicts.of_answer(await self._platform.read_use(who, use_id))
        except NotRegistered:
            return verdicts.NOT_REGISTERED
        except PlatformSilent:
            return verdicts.SILENT

    async def _verify(self, code: str) -> None:
        """Raise CardCodeError for a code that is no good; without any trust list the platform alone looks at it."""
        verifier = await self._platform.verifier()
        try:
            (verifier or TRUSTS_NOBODY).verify(code, self._clock())
        except IssuerUnknown:
            # The cell may have a new key since we last asked.
            verifier = await self._platform.verifier(fresh=True)
            if verifier:
                verifier.verify(code, self._clock())


def to_fen(yuan: str) -> int | None:
    """Read an amount as typed, 12.5 or 12.50; None when it is no amount."""
    found = _YUAN.fullmatch(yuan.strip())
    if not found:
        return None
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))


def gate_routes(gates: GatePage) -> APIRouter:
    """Routes under /gate."""
    router = APIRouter(prefix="/gate", tags=["gate"], include_in_schema=False)

    @router.get("")
    async def choose_gate(request: Request) -> Response:
        return page(request, "gates.html", gates=list(GATES.values()))

    @router.get("/{key}")
    async def show_gate(key: str, request: Request) -> Response:
        return page(request, "gate.html", gate=_gate(key), verdict=None, press=secrets.token_urlsafe(18))

    @router.post("/{key}")
    async def use_card(
        key: str,
        request: Request,
        code: Annotated[str, Form(max_length=2_000)] = "",
        press: Annotated[str, Form(pattern=r"^[A-Za-z0-9_-]{16,64}$")] = "",
        yuan: Annotated[str, Form(max_length=20)] = "",
    ) -> Response:
        gate = _gate(key)
        # Pasting adds white space around; a code has none at its ends.
        verdict = await gates.use(gate, code.strip(), yuan, press or secrets.token_urlsafe(18))
        return page(request, "gate.html", gate=gate, verdict=verdict, yuan=yuan, press=secrets.token_urlsafe(18))

    @router.get("/{key}/uses/{use_id}")
    async def show_use(key: str, use_id: str, request: Request) -> Response:
        gate = _gate(key)
        if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", use_id, re.ASCII):
            raise HTTPException(404)
        verdict = await gates.settled(gate, use_id)
        return page(request, "gate.html", gate=gate, verdict=verdict, press=secrets.token_urlsafe(18))

    return router


def _gate(key: str) -> Gate:
    gate = GATES.get(key)
    if gate is None:
        raise HTTPException(404, {"reason": "gate-unknown"})
    return gate
