"""A revoked parent's children are dead at the gateway within a second, also while NATS does not answer."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from onecard_local.callers import ApiClient, Citizen, wait_for
from onecard_local.sandbox import person_of, read_credentials, read_sandbox
from tests.demo.cell import RunningCell

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@contextmanager
def nats_stopped(cell: RunningCell) -> Iterator[None]:
    """Stop the cell's NATS for a while; it is ours, by the id that the runner keeps."""
    pid = json.loads((cell.home / "run.json").read_text("utf-8"))["processes"]["NATS"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_revoked_parents_child_opens_nothing_within_a_second_with_nats_stopped(running_cell: RunningCell) -> None:
    cell = running_cell
    with (
        closing(ApiClient(cell.public_url, read_credentials(cell.home / "operator.json"))) as operator,
        closing(
            ApiClient(cell.public_url, read_credentials(cell.home / "clients/government-platform.json"))
        ) as platform,
        closing(guardian(cell)) as citizen,
    ):
        allow_own_audience(cell, operator, platform)
        refuse_child_of_revoked(cell, platform, citizen)


def guardian(cell: RunningCell) -> Citizen:
    """Somebody of the sandbox."""
    people = {person["key"]: person for person in read_sandbox()["person"]}
    return Citizen(cell.public_url, cell.outside, person_of(people["guardian"]))


def allow_own_audience(cell: RunningCell, operator: ApiClient, platform: ApiClient) -> None:
    """Let the platform swap its citizens' tokens for narrower ones of our own API."""
    manager = operator.own_token("policies.manage")
    policy = {
        "client_id": platform.credentials.client_id,
        "audience": cell.public_url,
        "scopes": ["openid", "profile"],
        "max_lifetime_s": 300,
    }
    made = operator.call("POST", "/v1/exchange-policies", policy, token=manager, key="revocation-journey")
    assert made.status_code == 201, made.text


def refuse_child_of_revoked(cell: RunningCell, platform: ApiClient, citizen: Citizen) -> None:
    """Sign in, swap, revoke the parent: the child opens nothing any more."""
    parent = citizen.sign_in(platform, "http://localhost:8092/callback", "openid profile")["access_token"]
    child = platform.grant(
        grant_type=EXCHANGE, subject_token=parent, subject_token_type=ACCESS_TOKEN, audience=cell.public_url
    )["access_token"]
    assert platform.call("GET", "/v1/me", token=child).status_code == 200
    with nats_stopped(cell):
        auth = (platform.credentials.client_id, platform.credentials.client_secret)
        begun = time.monotonic()
        revoked = platform.http.post(f"{cell.public_url}/oauth/revoke", data={"token": parent}, auth=auth)
        assert revoked.status_code == 200
        wait_for(
            lambda: platform.call("GET", "/v1/me", token=child).status_code == 401, what="The refusal", within_s=10
        )
        # The promise is one second; the bound is wide because two cores run everything else beside it.
        assert time.monotonic() - begun < 3
    assert platform.call("GET", "/v1/me", token=parent).status_code == 401
