"""The composition root of card-svc."""

import httpx
from fastapi import FastAPI

from card_svc.codes import api as codes
from card_svc.lifecycle import api as lifecycle
from card_svc.lifecycle.adapters import CitizensAtIdentity
from card_svc.lifecycle.consumers import know_holders
from card_svc.production import api as production
from card_svc.production.adapters import CardMakerOverHttp, NamesAtIdentity
from card_svc.production.loops import production_loop
from card_svc.settings import Settings
from chassis.crypto.secret_key import newest_first
from chassis.egress import Outside
from chassis.journaled import journaled
from chassis.keys import KeyFolder
from chassis.peers import Peer
from chassis.runtime import open_runtime
from chassis.time import Clock
from chassis.web.app import describe_app, service_app
from chassis.web.operations import operator_router
from contracts.card_code import CodeMaker

SUMMARY = "The card's life, its media and channels, its codes."
ROUTERS = (lifecycle.router, production.router, codes.router, operator_router("card"))


def describe() -> FastAPI:
    """Return the app without its running gear."""
    return describe_app("card", SUMMARY, ROUTERS)


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    peers: httpx.AsyncBaseTransport | None = None,
    outside: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """Build card-svc; the transports are a test's way to reach other programs without ports."""
    runtime, bus, journal = journaled(open_runtime("card", settings, clock=clock), follows={"identity": know_holders})
    identity = Peer(runtime, "identity", transport=peers)
    maker = CardMakerOverHttp(Outside("card maker", settings.outside["card_maker"], deadline_s=5.0, transport=outside))
    loop = production_loop(runtime.workshop, maker, NamesAtIdentity(identity))
    return service_app(
        describe(),
        runtime,
        parts=(bus, journal, loop),
        closing=(identity, maker),
        journal=journal,
        citizens=CitizensAtIdentity(identity),
        code_maker=code_maker(runtime.keys),
    )


def code_maker(keys: KeyFolder) -> CodeMaker:
    """Return the maker that holds the newest of the cell's code keys."""
    signing = list(keys.private("card-code/own").values())[-1]
    sealing = newest_first(keys.secrets("handle"))[0]
    return CodeMaker(kid=signing.kid, signing_key=signing.native, handle_kid=sealing.kid, handle_key=sealing.value)
