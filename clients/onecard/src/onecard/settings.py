"""Where the cell is and who asks: from options and ONECARD_* variables, nothing else.

Invariant: a secret is never shown, in no message and no representation.
"""

import json
import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from onecard.failures import Misused

DEFAULT_URL = "http://localhost:8080"
FILE_MAX_BYTES = 65_536
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Credentials:
    """A registered client of kind operator."""

    client_id: str
    client_secret: str = field(repr=False)
    readable_by_others: bool = False  # of the file that they came from


def public_url(text: str) -> str:
    """Return the cell's public address without a slash at its end; Misused when it is not one."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Misused(f"{text!r} is not an address.") from None
    bare = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
    if parts.scheme not in ("http", "https") or not parts.hostname or not bare or port == 0:
        raise Misused(f"{text!r} is not the address of a cell, such as {DEFAULT_URL}.")
    return f"{parts.scheme}://{parts.netloc}"


def is_protected(url: str) -> bool:
    """Whether nobody on the way can read what is sent there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in LOOPBACK


def credentials(client_file: Path | None, client_id: str | None, client_secret: str | None) -> Credentials | None:
    """Return who asks: the file when there is one, else the two values, else None."""
    if client_file is not None:
        return _from_file(client_file)
    if client_id and client_secret:
        return Credentials(client_id, client_secret)
    if client_id or client_secret:
        raise Misused("ONECARD_CLIENT_ID and ONECARD_CLIENT_SECRET are set together or not at all.")
    return None


def _from_file(file: Path) -> Credentials:
    content = read_small(file)
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        said = None
    match said:
        case {"client_id": str(client_id), "client_secret": str(secret)} if client_id and secret:
            others = bool(stat.S_IMODE(file.stat().st_mode) & 0o077)
            return Credentials(client_id, secret, readable_by_others=others)
    raise Misused(f'{file} is not a client file: it holds {{"client_id": …, "client_secret": …}}.')


def read_small(file: Path) -> bytes:
    """Read a file of at most 64 KiB; Misused when that cannot be done."""
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror}.") from None
    if len(content) > FILE_MAX_BYTES:
        raise Misused(f"{file} is larger than {FILE_MAX_BYTES} bytes.")
    return content
