"""The few static pages of the public address: the landing page, and the documentation generated into `contracts`.

Invariant: every page that can be asked for was read into memory at the start; no request touches the file system.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OWN: Final = Path(__file__).with_name("pages")
CONTENT_TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".yaml": b"application/yaml",
    ".md": b"text/markdown; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".png": b"image/png",
    ".woff2": b"font/woff2",
    ".txt": b"text/plain; charset=utf-8",
}
PAGE_MAX_BYTES: Final = 4_194_304
PAGES_MAX_BYTES: Final = 16_777_216
POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class PagesError(Exception):
    """A folder of pages is not as it should be."""


@dataclass(frozen=True, slots=True)
class Page:
    """One file with the headers that it is served with."""

    body: bytes
    etag: bytes
    headers: tuple[tuple[bytes, bytes], ...]


def read_pages(folder: Path | None = None) -> dict[str, Page]:
    """Read the gateway's own pages and those of `folder` by path; `index.html` and `.html` do not show in a path."""
    pages: dict[str, Page] = {}
    total = 0
    for root in (OWN, folder):
        if root is None:
            continue
        if not root.is_dir():
            raise PagesError(f"There is no folder of pages {root}.")
        for file in sorted(root.rglob("*")):
            content_type = CONTENT_TYPES.get(file.suffix)
            if content_type is None or not file.is_file() or file.name.startswith("."):
                continue
            body = file.read_bytes()
            total += len(body)
            if len(body) > PAGE_MAX_BYTES or total > PAGES_MAX_BYTES:
                raise PagesError(f"{file} is too large to be kept in memory.")
            pages[_path(file.relative_to(root))] = _page(body, content_type)
    return pages


def _path(file: Path) -> str:
    parts = list(file.parts)
    if file.suffix == ".html":
        parts[-1] = file.stem
        if parts[-1] == "index":
            parts.pop()
    return "/" + "/".join(parts)


def _page(body: bytes, content_type: bytes) -> Page:
    etag = b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"'
    headers = (
        (b"content-type", content_type),
        (b"etag", etag),
        (b"cache-control", b"no-cache"),
        (b"content-security-policy", POLICY),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    )
    return Page(body, etag, headers)
