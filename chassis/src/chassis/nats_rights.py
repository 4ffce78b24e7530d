"""The rights of every NATS user of a cell, and the server's configuration, from who follows whom.

Invariant: a service publishes only its own journal and hears only the sources that it follows; everything is an exact
subject, save each user's own inbox.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

Follows = Mapping[str, tuple[str, ...]]

SYSTEM = "SYS"


@dataclass(frozen=True, kw_only=True)
class Rights:
    """The exact subjects of one user."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def inbox_of(service: str) -> str:
    """The prefix under which answers come to a service; each user needs its own, or its requests time out."""
    return f"_INBOX.{service}-svc"


def rights_of(service: str, follows: Follows) -> Rights:
    """What one service may say and hear."""
    sources = follows[service]
    return Rights(
        publish=(
            f"journal.{service}.block",
            f"journal.{service}.head",
            *(f"journal.{source}.read" for source in sources),
        ),
        subscribe=(
            f"journal.{service}.read",
            *(f"journal.{source}.{what}" for source in sources for what in ("block", "head")),
            f"{inbox_of(service)}.>",
        ),
    )


def server_config(
    follows: Follows,
    public_nkeys: Mapping[str, str],
    *,
    cell: str,
    listen: str | None = None,
    http: str | None = None,
) -> str:
    """Write the configuration of a cell's NATS server.

    `public_nkeys` holds a public nkey (U…) for each service of `follows` and one for "SYS". `listen` and `http` are
    "address:port"; leave them out when the caller gives them on the command line.
    """
    for name in (*follows, SYSTEM):
        if not re.fullmatch(r"U[A-Z2-7]{55}", public_nkeys.get(name, "")):
            raise ValueError(f"There is no public nkey of a user for {name}.")
    users = "\n".join(_user(rights_of(service, follows), public_nkeys[service]) for service in follows)
    addresses = "".join(f"{name}: {_text(value)}\n" for name, value in (("listen", listen), ("http", http)) if value)
    return f"""server_name: {_text(f"cell-{cell}")}
{addresses}max_payload: 1MB
ping_interval: "2s"
ping_max: 2
write_deadline: "5s"
system_account: SYS
accounts {{
  SYS {{ users: [ {{ nkey: {public_nkeys[SYSTEM]} }} ] }}
  CELL {{ users: [
{users}
  ] }}
}}
"""


def _user(rights: Rights, nkey: str) -> str:
    return f"""    {{ nkey: {nkey}, allowed_connection_types: ["STANDARD"], permissions: {{
        publish: {{ allow: [{_list(rights.publish)}] }}
        subscribe: {{ allow: [{_list(rights.subscribe)}] }}
        allow_responses: {{ max: 1, expires: "5s" }} }} }}"""


def _list(subjects: tuple[str, ...]) -> str:
    return ", ".join(_text(subject) for subject in subjects)


def _text(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:>\[\]-]+", value):
        raise ValueError(f"{value!r} cannot stand in the configuration of NATS.")
    return f'"{value}"'
