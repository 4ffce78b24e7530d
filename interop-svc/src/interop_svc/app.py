"""The composition root of interop-svc."""

from fastapi import FastAPI

from chassis.journaled import journaled
from chassis.keys import KeyFolder
from chassis.runtime import open_runtime
from chassis.time import Clock
from chassis.web.app import describe_app, service_app
from chassis.web.operations import operator_router
from interop_svc import api
from interop_svc.domain import TrustedKey
from interop_svc.settings import Settings

SUMMARY = "Other provinces: for now, the keys by which anyone can verify this cell's card codes."
ROUTERS = (api.router, operator_router("interop"))


def describe() -> FastAPI:
    """Return the app without its running gear."""
    return describe_app("interop", SUMMARY, ROUTERS)


def create_app(settings: Settings, *, clock: Clock | None = None) -> FastAPI:
    """Build interop-svc."""
    runtime, bus, journal = journaled(open_runtime("interop", settings, clock=clock), follows={})
    return service_app(
        describe(), runtime, parts=(bus, journal), journal=journal, trusted_keys=trusted_keys(runtime.keys)
    )


def trusted_keys(keys: KeyFolder) -> tuple[TrustedKey, ...]:
    """Read the public halves of the cell's card-code keys, those of retired keys too."""
    return tuple(
        TrustedKey(kid=kid, alg=key.alg, jwk=key.to_jwk()) for kid, key in keys.publics("card-code/public").items()
    )
