"""Every key of a cell, made on the first run and kept: one folder per process, as Kubernetes would mount it.

Invariant: an existing key is never replaced; folders are 0700, files 0600, and a key is written whole or not at all.
"""

import base64
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import nkeys

from chassis.crypto.secret_key import SecretKey
from chassis.crypto.signing import PrivateKey
from chassis.keys import KeyFolder
from contracts.edges import EDGES, FOLLOWS
from onecard_local.cells import Cell
from onecard_local.ports import SERVICES

PROCESSES = ("gateway", *SERVICES, "ecard", "simulators")

SECRETS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    # kind, whose folder it is made in, who gets a copy
    *(
        (f"edges/{caller}-{callee}", caller, (callee,))
        for caller, callee in sorted({(e.caller, e.callee) for e in EDGES})
    ),
    *((kind, service, ()) for kind in ("field", "hash") for service in SERVICES),
    ("field", "ecard", ()),  # seals the page's sessions
    ("hash", "ecard", ()),
    ("cid", "identity", ("gateway",)),
    ("handle", "card", ("scenario",)),
)

SIGNING: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    # kind of the private key, who signs, kind of the public keys, who verifies
    ("tokens", "identity", "", ()),  # published as JWKS, not copied
    ("card-code/own", "card", "card-code/public", ("card", "scenario", "interop")),
    *(
        (
            "journal/own",
            source,
            f"journal/public/{source}",
            (source, *(service for service in SERVICES if source in FOLLOWS[service])),
        )
        for source in SERVICES
    ),
)


def make_keys(cell: Cell) -> None:
    """Make what is missing, so that a new edge gets its key and an old key stays."""
    kid = new_kid(cell)
    for process in PROCESSES:
        open_folder(cell.keys_of(process))
    for kind, owner, others in SECRETS:
        share_secret(cell, kid, kind, owner, others)
    for kind, signer, public_kind, verifiers in SIGNING:
        share_public(cell, kid, kind, signer, public_kind, verifiers)
    for service in SERVICES:
        write_once(cell.keys_of(service) / "nats.seed", new_user_seed)


def nats_user(cell: Cell, service: str) -> str:
    """The public half of a service's nkey, for the configuration of NATS (starts with U)."""
    seed = KeyFolder(cell.keys_of(service)).nats_seed()
    public: bytes = nkeys.from_seed(bytearray(seed, "ascii")).public_key
    return public.decode("ascii")


def new_kid(cell: Cell) -> str:
    """Key ids begin with their cell, as card codes need it, and sort by the minute they were made: newest last."""
    return f"{cell.code}-{datetime.now(UTC):%y%m%d%H%M}"


def new_user_seed() -> bytes:
    return bytes(nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER)) + b"\n"


def new_system_user() -> str:
    """A user that nobody holds the seed of: NATS wants one in its system account, nobody is to be it."""
    return public_of(new_user_seed().strip())


def public_of(seed: bytes) -> str:
    public: bytes = nkeys.from_seed(bytearray(seed)).public_key
    return public.decode("ascii")


def share_secret(cell: Cell, kid: str, kind: str, owner: str, others: tuple[str, ...]) -> None:
    own = cell.keys_of(owner) / kind
    if not keys_in(own, ".key"):
        write_once(own / f"{kid}.key", lambda: SecretKey.generate(kid).to_text().encode() + b"\n")
    for other in others:
        for key in keys_in(own, ".key"):
            write_once(cell.keys_of(other) / kind / key.name, key.read_bytes)


def share_public(cell: Cell, kid: str, kind: str, signer: str, public_kind: str, verifiers: tuple[str, ...]) -> None:
    own = cell.keys_of(signer) / kind
    if not keys_in(own, ".pem"):
        write_once(own / f"{kid}.pem", lambda: PrivateKey.generate(kid).to_pem())
    if not verifiers:
        return
    for known, key in KeyFolder(cell.keys_of(signer)).private(kind).items():
        for verifier in verifiers:
            write_once(cell.keys_of(verifier) / public_kind / f"{known}.pem", key.public.to_pem)


def keys_in(folder: Path, suffix: str) -> list[Path]:
    return sorted(folder.glob(f"[!.]*{suffix}"))


def open_folder(folder: Path) -> None:
    """Make a folder that only we can read, and those above it that are missing too."""
    if not folder.is_dir():
        open_folder(folder.parent)
        folder.mkdir(mode=0o700)


def write_once(file: Path, content: Callable[[], bytes]) -> None:
    """Write a file that is not there yet; a runner killed in between leaves only a hidden file that nothing reads."""
    if file.exists():
        return
    open_folder(file.parent)
    hidden = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content())
        opened.flush()
        os.fsync(opened.fileno())
    hidden.rename(file)


def new_password() -> str:
    """A password for a database role: 192 bits."""
    return base64.urlsafe_b64encode(secrets.token_bytes(24)).decode("ascii")
