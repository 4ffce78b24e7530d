"""A process's key folder for tests, generated, in the layout that production mounts."""

import os
from collections.abc import Sequence
from pathlib import Path

import nkeys

from chassis.crypto.secret_key import SecretKey
from chassis.crypto.signing import PrivateKey
from contracts.edges import callers_of

KID = "test-1"


def write_secret(folder: Path, kind: str, *, kid: str = KID) -> SecretKey:
    """Write a new symmetric key of `kind` and return it."""
    key = SecretKey.generate(kid)
    path = folder / kind / f"{kid}.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(key.to_text())
    return key


def write_private(folder: Path, kind: str, public_kind: str | None = None, *, kid: str = KID) -> PrivateKey:
    """Write a new signing key of `kind`, and its public half under `public_kind`."""
    key = PrivateKey.generate(kid)
    for name, pem in ((kind, key.to_pem()), (public_kind, key.public.to_pem())):
        if name:
            path = folder / name / f"{kid}.pem"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pem)
    return key


def write_service_keys(folder: Path, service: str, *, calls: Sequence[str] = (), follows: Sequence[str] = ()) -> Path:
    """Write what every service needs: its edges in and out, its journal key, and the public keys of its sources."""
    for caller in callers_of(service):
        write_secret(folder, f"edges/{caller}-{service}")
    for callee in calls:
        write_secret(folder, f"edges/{service}-{callee}")
    write_private(folder, "journal/own", f"journal/public/{service}")
    for source in follows:
        write_private(folder, f"journal/unused/{source}", f"journal/public/{source}")
    write_nats_seed(folder)
    return folder


def write_nats_seed(folder: Path) -> None:
    """Write the seed of a NATS user."""
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    (folder / "nats.seed").write_bytes(bytes(seed))
