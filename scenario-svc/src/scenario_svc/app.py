"""The composition root of scenario-svc."""

import httpx
from fastapi import FastAPI

from chassis.journaled import journaled
from chassis.keys import KeyFolder
from chassis.peers import Peer
from chassis.runtime import open_runtime
from chassis.time import Clock
from chassis.web.app import describe_app, service_app
from chassis.web.operations import operator_router
from contracts.card_code import HandleOpener, Verifier
from scenario_svc.settings import Settings
from scenario_svc.uses import api as uses
from scenario_svc.uses.adapters import CardsAtCardSvc, PaymentsAtPaymentSvc
from scenario_svc.uses.api import CodeReader
from scenario_svc.uses.consumers import close_uses, know_cards
from scenario_svc.uses.loops import settling_loop
from scenario_svc.uses.use_cases import Neighbours
from scenario_svc.venues import api as venues
from scenario_svc.venues.adapters import read_catalogue
from scenario_svc.venues.consumers import know_clients

SUMMARY = "Where the card is used: may this person do this here, and what happened."
ROUTERS = (venues.router, uses.router, operator_router("scenario"))


def describe() -> FastAPI:
    """Return the app without its running gear."""
    return describe_app("scenario", SUMMARY, ROUTERS)


def create_app(
    settings: Settings, *, clock: Clock | None = None, peers: httpx.AsyncBaseTransport | None = None
) -> FastAPI:
    """Build scenario-svc; the transport is a test's way to reach other services without ports."""
    runtime, bus, journal = journaled(
        open_runtime("scenario", settings, clock=clock),
        follows={"card": know_cards, "identity": know_clients, "payment": close_uses},
    )
    payment, card = Peer(runtime, "payment", transport=peers), Peer(runtime, "card", transport=peers)
    payments = PaymentsAtPaymentSvc(payment)
    return service_app(
        describe(),
        runtime,
        parts=(bus, journal, settling_loop(runtime.workshop, payments)),
        closing=(payment, card),
        journal=journal,
        catalogue=read_catalogue(),
        code_reader=code_reader(runtime.keys, runtime.clock),
        neighbours=Neighbours(payments=payments, cards=CardsAtCardSvc(card)),
    )


def code_reader(keys: KeyFolder, clock: Clock) -> CodeReader:
    """Return the reader of this cell's own codes."""
    trusted = {kid: key.native for kid, key in keys.publics("card-code/public").items()}
    handles = {kid: key.value for kid, key in keys.secrets("handle").items()}
    return CodeReader(verifier=Verifier(trusted), opener=HandleOpener(handles), clock=clock)
