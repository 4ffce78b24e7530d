"""A process's own folder of keys, as Kubernetes mounts it: one file a key, its id the file's stem.

Reads only; the current key of a kind is the last id in sort order, and a folder that is not as expected stops the
process at its start with one sentence.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from chassis.crypto.errors import BadKey
from chassis.crypto.secret_key import SecretKey
from chassis.crypto.signing import PrivateKey, PublicKey

FILE_MAX_BYTES = 16_384

K = TypeVar("K", PrivateKey, PublicKey, SecretKey)


class KeyFolderError(Exception):
    """The folder of keys is not as this process needs it."""


class KeyFolder:
    """Keys by kind; a kind is a path inside the folder, for example "field", "journal/own", "edges/gateway-card"."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def private(self, kind: str) -> dict[str, PrivateKey]:
        """Read <kind>/<kid>.pem as private keys, in the order of their ids."""
        return self._read(kind, ".pem", PrivateKey.from_pem)

    def publics(self, kind: str) -> dict[str, PublicKey]:
        """Read <kind>/<kid>.pem as public keys, in the order of their ids."""
        return self._read(kind, ".pem", PublicKey.from_pem)

    def secrets(self, kind: str) -> dict[str, SecretKey]:
        """Read <kind>/<kid>.key (32 bytes as base64url), in the order of their ids."""
        return self._read(kind, ".key", _secret)

    def nats_seed(self) -> str:
        """Read the seed that this process signs in to NATS with."""
        return self._bytes(self.path / "nats.seed").decode("ascii", "replace").strip()

    def _read(self, kind: str, suffix: str, parse: Callable[[str, bytes], K]) -> dict[str, K]:
        folder = self.path / kind
        if not folder.is_dir():
            raise KeyFolderError(f"There is no folder of keys {folder}.")
        keys: dict[str, K] = {}
        # Kubernetes keeps the mounted files behind names that begin with two dots; they are not keys.
        for file in sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".")):
            if file.suffix != suffix:
                raise KeyFolderError(f"{file} is not a key of the form <key id>{suffix}.")
            try:
                keys[file.stem] = parse(file.stem, self._bytes(file))
            except BadKey as error:
                raise KeyFolderError(f"{file}: {error}") from None
        if not keys:
            raise KeyFolderError(f"The folder {folder} holds no key.")
        return keys

    def _bytes(self, file: Path) -> bytes:
        try:
            with file.open("rb") as opened:
                content = opened.read(FILE_MAX_BYTES + 1)
        except OSError as error:
            raise KeyFolderError(f"{file} cannot be read: {error.strerror}.") from None
        if len(content) > FILE_MAX_BYTES:
            raise KeyFolderError(f"{file} is larger than {FILE_MAX_BYTES} bytes and no key.")
        return content


def _secret(kid: str, content: bytes) -> SecretKey:
    return SecretKey.from_text(kid, content.decode("ascii", "replace"))
