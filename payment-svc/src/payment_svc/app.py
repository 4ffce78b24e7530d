"""The composition root of payment-svc."""

import httpx
from fastapi import FastAPI

from chassis.egress import Outside
from chassis.journaled import journaled
from chassis.runtime import open_runtime
from chassis.time import Clock
from chassis.web.app import describe_app, service_app
from chassis.web.operations import operator_router
from payment_svc.charges import api as charges
from payment_svc.charges.adapters import BankOverHttp
from payment_svc.charges.loops import settling_loop
from payment_svc.ledger import api as ledger
from payment_svc.ledger.adapters import BankAccountsOverHttp
from payment_svc.ledger.consumers import open_accounts_of_enabled_cards
from payment_svc.ledger.loops import opening_loop
from payment_svc.settings import Settings

SUMMARY = "The ledger and everything that moves money."
ROUTERS = (ledger.router, charges.router, operator_router("payment"))
BANK_DEADLINE_S = 3.0


def describe() -> FastAPI:
    """Return the app without its running gear."""
    return describe_app("payment", SUMMARY, ROUTERS)


def create_app(
    settings: Settings, *, clock: Clock | None = None, outside: httpx.AsyncBaseTransport | None = None
) -> FastAPI:
    """Build payment-svc; `outside` is a test's way to reach the bank without a port."""
    runtime, bus, journal = journaled(
        open_runtime("payment", settings, clock=clock), follows={"card": open_accounts_of_enabled_cards}
    )
    outside_bank = Outside("bank", settings.outside["bank"], deadline_s=BANK_DEADLINE_S, transport=outside)
    bank = BankOverHttp(outside_bank)
    opening = opening_loop(runtime.workshop, BankAccountsOverHttp(outside_bank))
    settling = settling_loop(runtime.workshop, bank)
    return service_app(
        describe(),
        runtime,
        parts=(bus, journal, opening, settling),
        closing=(outside_bank,),
        journal=journal,
        bank=bank,
    )
