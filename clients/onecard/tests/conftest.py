"""A whole cell in a test: the five real services on real databases and a real NATS, behind the gateway's own checks.

Only the sockets are missing: `FrontDoor` is a transport that decides as the gateway does, with its route file and its
verifier of tokens, and hands each request to the app of the service.
"""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from typer.testing import CliRunner, Result

from card_svc.app import create_app as create_card
from card_svc.settings import Settings as CardSettings
from chassis.crypto.fields import FieldKeys
from chassis.crypto.secret_key import SecretKey
from chassis.crypto.signing import PublicKey
from chassis.errors import Refusal
from chassis.keys import KeyFolder
from chassis.testing.databases import Databases
from chassis.testing.keys import write_private, write_secret, write_service_keys
from chassis.testing.nats_users import new_users
from chassis.testing.service import CELL, NOBODY, PUBLIC_URL, Api, caller, running
from chassis.testing.waiting import until
from contracts.edges import FOLLOWS, SERVICES
from gateway.problems import problem_answer
from gateway.refusals import NoRoute, NoToken, ScopeMissing
from gateway.routes import read_routes
from gateway.tokens import TokenVerifier
from identity_svc.app import client_desk, token_desk
from identity_svc.app import create_app as create_identity
from identity_svc.clients.use_cases import FIRST_OPERATOR, register_first_operator
from identity_svc.settings import Settings as IdentitySettings
from interop_svc.app import create_app as create_interop
from interop_svc.settings import Settings as InteropSettings
from onecard.cell import World
from onecard.commands import app
from payment_svc.app import create_app as create_payment
from payment_svc.settings import Settings as PaymentSettings
from scenario_svc.app import create_app as create_scenario
from scenario_svc.settings import Settings as ScenarioSettings

# By default services log to whatever sys.stdout is at the moment, and that is a command's own while one runs.
structlog.configure(
    processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
    logger_factory=structlog.stdlib.LoggerFactory(),
)

CREATE = {
    "identity": (create_identity, IdentitySettings),
    "card": (create_card, CardSettings),
    "payment": (create_payment, PaymentSettings),
    "scenario": (create_scenario, ScenarioSettings),
    "interop": (create_interop, InteropSettings),
}
OUTSIDE = ("register", "sms", "face", "bank", "card_maker")
ANSWER_WITHIN_S = 20.0

Planned = Callable[[httpx.Request], httpx.Response | None]


class FrontDoor(httpx.BaseTransport):
    """Lets requests in as the gateway does; `planned` may answer, raise or pass (None) before it looks."""

    def __init__(self, services: dict[str, Api], keys: KeyFolder) -> None:
        self._services = services
        self._loop = asyncio.get_running_loop()
        self._routes = read_routes()
        self._verifier = TokenVerifier(
            public_url=PUBLIC_URL, cid_keys=FieldKeys(keys.secrets("cid")), now_s=time.time, remembered=100
        )
        self.planned: Planned | None = None
        self.seen: list[httpx.Request] = []

    def use_keys(self, jwks: dict[str, Any]) -> None:
        """Take the keys that identity-svc publishes."""
        keys = [PublicKey.from_jwk(jwk) for jwk in jwks["keys"]]
        self._verifier.use_keys({key.kid: key for key in keys})

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if self.planned is not None and (answer := self.planned(request)) is not None:
            return answer
        date = ("date", formatdate(usegmt=True))
        try:
            waiting = asyncio.run_coroutine_threadsafe(self._let_in(request), self._loop)
            answer = waiting.result(ANSWER_WITHIN_S)
        except Refusal as refusal:
            status, refused, body = problem_answer(refusal, public_url=PUBLIC_URL, request_id="r")
            return httpx.Response(status, headers=[*refused, (b"date", date[1].encode())], content=body)
        headers = [(name, value) for name, value in answer.headers.items() if name != "content-length"]
        return httpx.Response(answer.status_code, headers=[*headers, date], content=answer.content)

    async def _let_in(self, request: httpx.Request) -> httpx.Response:
        route = self._routes.match(request.method, request.url.path)
        if route is None:
            raise NoRoute
        by = NOBODY
        if not route.public:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme != "Bearer":
                raise NoToken
            verified = self._verifier.verify(token.encode())
            if not route.scopes & verified.scopes:
                raise ScopeMissing(route.scopes)
            by = caller(client=verified.client, kind=verified.kind, scopes=" ".join(verified.scopes), acr=verified.acr)
        passed = ("content-type", "idempotency-key", "authorization" if route.public else "")
        return await self._services[route.service].call(
            request.method,
            request.url.raw_path.decode(),
            by=by,
            operation=route.operation,
            headers={name: value for name, value in request.headers.items() if name in passed},
            content=request.read(),
        )


@dataclass(kw_only=True)
class TestCell:
    """The running cell, and the command line to operate it with."""

    __test__ = False  # a class of ours, not a test of pytest's

    services: dict[str, Api]
    door: FrontDoor
    keys: dict[str, Path]  # the key folder of each service
    operator: Path  # the first operator's client file
    waited: list[float] = field(default_factory=list)

    async def onecard(self, *arguments: object, env: dict[str, str] | None = None) -> Result:
        """Run one command as the first operator, in a thread, while the services go on."""
        world = World(transport=self.door, wait=self.waited.append)
        environment: dict[str, str | None] = {"ONECARD_OPERATOR": str(self.operator), "ONECARD_PUBLIC_URL": PUBLIC_URL}
        environment |= dict.fromkeys(("ONECARD_CLIENT_ID", "ONECARD_CLIENT_SECRET")) | (env or {})
        words = [str(argument) for argument in arguments]
        return await asyncio.to_thread(CliRunner().invoke, app, words, obj=world, env=environment)

    now_s = staticmethod(time.time)

    def journal_keys(self, source: str) -> Path:
        """Return the folder of a source's public journal keys."""
        return self.keys[source] / "journal" / "public" / source

    async def well(self) -> None:
        """Wait until every service leads and has heard from those that it follows."""
        for api in self.services.values():
            journal = api.app.state.journal

            async def is_well(journal: Any = journal) -> bool:
                said = journal.status()
                return said.leading and all(f.state == "following" and f.age_s < 1.5 for f in said.followers.values())

            await until(is_well, within_s=20.0, what="a service that leads and follows")


@pytest.fixture(scope="module")
async def whole_cell(
    databases: Databases, nats_server: Any, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TestCell]:
    """The cell of this module."""
    folder = tmp_path_factory.mktemp("cell")
    users = new_users(FOLLOWS)
    nats = nats_server(users.config)
    keys = _key_folders(folder, users.seeds)
    async with AsyncExitStack() as stack:
        services: dict[str, Api] = {}
        for service, (create, settings_of) in CREATE.items():
            database = await stack.enter_async_context(databases.fresh(service))
            settings = settings_of(
                cell=CELL,
                public_url=PUBLIC_URL,
                port=1,
                health_port=1,
                keys=keys[service],
                database_url=database.app_url,
                nats_url=nats.url,
                peers={name: f"http://{name}.invalid" for name in SERVICES},
                outside={name: f"http://outside.invalid/{name}" for name in OUTSIDE},
            )
            services[service] = await stack.enter_async_context(running(create(settings)))
        door = FrontDoor(services, KeyFolder(keys["identity"]))
        door.use_keys((await services["identity"].call("GET", "/oauth/jwks")).json())
        operator = write_private_file(folder / "operator.json", await _first_operator(services["identity"]))
        cell = TestCell(services=services, door=door, keys=keys, operator=operator)
        await cell.well()
        yield cell


@pytest.fixture
async def cell(whole_cell: TestCell) -> AsyncIterator[TestCell]:
    """The cell, with nothing planned and nothing seen."""
    whole_cell.door.planned = None
    whole_cell.door.seen.clear()
    whole_cell.waited.clear()
    await whole_cell.well()
    yield whole_cell
    whole_cell.door.planned = None


def _key_folders(folder: Path, seeds: dict[str, str]) -> dict[str, Path]:
    keys = {service: write_service_keys(folder / service, service) for service in SERVICES}
    for service, sources in FOLLOWS.items():
        (keys[service] / "nats.seed").write_text(seeds[service])
        for source in sources:
            shutil.copytree(keys[source] / "journal/public" / source, keys[service] / "journal/public" / source)
    for kind in ("field", "hash", "cid"):
        write_secret(keys["identity"], kind)
    write_private(keys["identity"], "tokens")
    write_private(keys["card"], "card-code/own", "card-code/public", kid="330000-test")
    handle: SecretKey = write_secret(keys["card"], "handle", kid="330000-test")
    (keys["scenario"] / "handle").mkdir()
    (keys["scenario"] / "handle" / f"{handle.kid}.key").write_text(handle.to_text())
    for caller_of_card, callee in (("card", "identity"), ("scenario", "payment"), ("scenario", "card")):
        edge = f"edges/{caller_of_card}-{callee}"
        shutil.copytree(keys[callee] / edge, keys[caller_of_card] / edge)
    for service in ("scenario", "interop"):
        shutil.copytree(keys["card"] / "card-code/public", keys[service] / "card-code/public")
    return keys


async def _first_operator(identity: Api) -> str:
    runtime = identity.app.state.runtime
    async with runtime.workshop.begin() as work:
        secret = await register_first_operator(client_desk(runtime, token_desk(runtime)), work)
    return json.dumps({"client_id": FIRST_OPERATOR, "client_secret": secret})


def write_private_file(file: Path, content: str) -> Path:
    """Write a file that only we can read, as the runner does."""
    file.touch(mode=0o600)
    file.write_text(content)
    return file
