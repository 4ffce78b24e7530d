"""The composition root of identity-svc."""

from datetime import timedelta
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI

from chassis.crypto.keyed_hash import KeyedHashes
from chassis.crypto.secret_key import newest_first
from chassis.egress import Outside
from chassis.journaled import journaled
from chassis.runtime import Runtime, open_runtime
from chassis.time import Clock
from chassis.web.app import Part, describe_app, service_app
from chassis.web.operations import operator_router
from identity_svc.clients import api as clients
from identity_svc.clients.store import ClientSecrets
from identity_svc.clients.use_cases import ClientDesk, NothingOfSandbox
from identity_svc.messages.adapters import SmsProvider
from identity_svc.messages.loops import sms_loop
from identity_svc.people import api as people
from identity_svc.people.adapters import RegisterOutside
from identity_svc.people.domain import EnrolmentLimits, Limit, PopulationRegister
from identity_svc.people.loops import forgetting_loop
from identity_svc.people.store import PersonalData
from identity_svc.people.use_cases import EnrolmentDesk
from identity_svc.settings import Settings
from identity_svc.signin.adapters import FaceCheck
from identity_svc.signin.api import authorize
from identity_svc.signin.loops import forgetting_loop as sign_in_forgetting_loop
from identity_svc.signin.use_cases.desk import SignInDesk
from identity_svc.tokens.adapters import TokenSmith
from identity_svc.tokens.api import discovery, endpoints, policies
from identity_svc.tokens.api import internal as token_questions
from identity_svc.tokens.use_cases.desk import TokenDesk

SUMMARY = "Who you are, how sure we are, who may act for you; tokens and clients."
ROUTERS = (
    people.router,
    clients.router,
    authorize.router,
    endpoints.router,
    discovery.router,
    policies.router,
    token_questions.router,
    operator_router("identity"),
)


def describe() -> FastAPI:
    """Return the app without its running gear."""
    return describe_app("identity", SUMMARY, ROUTERS)


def create_app(
    settings: Settings, *, clock: Clock | None = None, outside: httpx.AsyncBaseTransport | None = None
) -> FastAPI:
    """Build identity-svc; the transport is a test's way to reach the simulators without ports."""
    runtime, bus, journal = journaled(open_runtime("identity", settings, clock=clock), follows={})
    register = RegisterOutside(_outside(settings, "register", settings.register_deadline_s, outside))
    sms = SmsProvider(_outside(settings, "sms", settings.sms_deadline_s, outside))
    face = FaceCheck(_outside(settings, "face", settings.face_deadline_s, outside))
    enrolment = enrolment_desk(runtime, register)
    tokens = token_desk(runtime)
    parts: list[Part] = [NothingOfSandbox(runtime.workshop)] if settings.env == "production" else []
    parts += [
        bus,
        journal,
        sms_loop(runtime.workshop, enrolment.personal.fields, sms, every_s=settings.sms_every_s),
        forgetting_loop(enrolment, runtime.workshop),
        sign_in_forgetting_loop(runtime.workshop),
    ]
    return service_app(
        describe(),
        runtime,
        parts=parts,
        closing=(register, sms, face),
        journal=journal,
        enrolment_desk=enrolment,
        client_desk=client_desk(runtime, tokens),
        token_desk=tokens,
        sign_in_desk=sign_in_desk(runtime, tokens, enrolment.personal, face),
        subject_of=tokens.subject_at_client,
    )


def _outside(settings: Settings, system: str, deadline_s: float, transport: httpx.AsyncBaseTransport | None) -> Outside:
    return Outside(system, settings.outside[system], deadline_s=deadline_s, transport=transport)


def enrolment_desk(runtime: Runtime[Settings], register: PopulationRegister) -> EnrolmentDesk:
    """Return what enrolling needs."""
    settings = runtime.settings
    limits = EnrolmentLimits(
        person=Limit(most=settings.enrolments_per_person_an_hour, window=timedelta(hours=1)),
        client=Limit(most=settings.enrolments_per_client_a_minute, window=timedelta(minutes=1)),
    )
    return EnrolmentDesk(register=register, personal=PersonalData.from_folder(runtime.keys), limits=limits)


def token_desk(runtime: Runtime[Settings]) -> TokenDesk:
    """Return what making and looking at tokens needs."""
    return TokenDesk(
        smith=TokenSmith(runtime.keys, runtime.settings.public_url),
        client_secrets=ClientSecrets.from_folder(runtime.keys),
        sandbox=runtime.settings.env == "sandbox",
        subject_secret=newest_first(runtime.keys.secrets("hash"))[0].value,
    )


def sign_in_desk(runtime: Runtime[Settings], tokens: TokenDesk, personal: PersonalData, face: FaceCheck) -> SignInDesk:
    """Return what signing in needs."""
    counted = KeyedHashes(runtime.keys.secrets("hash"), "sign-in-count")
    return SignInDesk(tokens=tokens, personal=personal, face=face, counted=counted)


def client_desk(runtime: Runtime[Settings], tokens: TokenDesk) -> ClientDesk:
    """Return what registering and suspending clients needs."""
    return ClientDesk(
        secrets=tokens.client_secrets,
        sandbox=runtime.settings.env == "sandbox",
        public_host=urlsplit(runtime.settings.public_url).hostname or "",
        revoke=tokens.revoke_from_now,
    )
