"""The configuration of a cell's NATS, generated from the one declaration of who follows whom.

Invariant: a service may publish its own journal and read the journals that it follows, and nothing else (nats.md).
"""

from contracts.edges import FOLLOWS
from onecard_local.cells import Cell
from onecard_local.keys import nats_user, new_system_user
from onecard_local.ports import SERVICES

MAX_PAYLOAD = "1MB"


def nats_config(cell: Cell) -> str:
    users = "\n".join(user_entry(service, nats_user(cell, service)) for service in SERVICES)
    return f"""\
server_name: "cell-{cell.code}"
listen: "127.0.0.1:{cell.ports.nats}"
http: "127.0.0.1:{cell.ports.nats_monitoring}"
max_payload: {MAX_PAYLOAD}
ping_interval: "2s"
ping_max: 2
write_deadline: "5s"
system_account: SYS
accounts {{
  SYS {{ users: [ {{ nkey: {new_system_user()} }} ] }}
  CELL {{ users: [
{users}
  ] }}
}}
"""


def user_entry(service: str, public_key: str) -> str:
    followed = FOLLOWS[service]
    publish = [
        f"journal.{service}.block",
        f"journal.{service}.head",
        *(f"journal.{source}.read" for source in followed),
    ]
    subscribe = [f"journal.{service}.read"]
    subscribe += [f"journal.{source}.{kind}" for source in followed for kind in ("block", "head")]
    subscribe.append(f"_INBOX.{service}-svc.>")
    return f"""\
    {{ nkey: {public_key}, allowed_connection_types: ["STANDARD"], permissions: {{
        publish: {{ allow: [{quoted(publish)}] }}
        subscribe: {{ allow: [{quoted(subscribe)}] }}
        allow_responses: {{ max: 1, expires: "5s" }} }} }}"""


def quoted(subjects: list[str]) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects)
