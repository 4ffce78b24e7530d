"""A NATS of a test with real users: a seed for each service and the configuration that gives each its rights."""

import os
from dataclasses import dataclass

import nkeys

from chassis.nats_rights import SYSTEM, Follows, server_config


@dataclass(frozen=True, kw_only=True)
class NatsUsers:
    """What a server and its clients need."""

    seeds: dict[str, str]  # service -> seed to sign in with
    config: str  # of the server; addresses come from the command line


def new_user() -> tuple[str, str]:
    """Return the seed and the public nkey of a new user."""
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode()


def new_users(follows: Follows, *, cell: str = "330000") -> NatsUsers:
    """Make one user for each service of `follows`, and the configuration of a server that knows them."""
    made = {name: new_user() for name in (*follows, SYSTEM)}
    public = {name: nkey for name, (_, nkey) in made.items()}
    return NatsUsers(seeds={name: made[name][0] for name in follows}, config=server_config(follows, public, cell=cell))
