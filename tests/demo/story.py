"""Tells a story: what is about to happen, each HTTP call with its answer, and whether it was as told."""

import json
from contextlib import ExitStack
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from onecard_local.callers import Unexpected

SHOWN_CHARACTERS = 200
_QUIET = ("/inbox/", "/oauth/authorize", "/face/")  # pages and looks that would drown the story


class Story:
    """Prints; `http()` gives a client whose calls are part of the story."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._clients = ExitStack()
        self.calls = 0

    def scene(self, title: str, words: str) -> None:
        """Begin a scene."""
        self._console.print(f"\n[bold cyan]{title}[/]\n[dim]{words}[/]")

    def say(self, words: str) -> None:
        """Tell something between the calls."""
        self._console.print(f"  [yellow]{escape(words)}[/]")

    def http(self) -> httpx.Client:
        """Return a client whose calls are told."""
        return self.quiet_http(response=[self._told])

    def quiet_http(self, **hooks: Any) -> httpx.Client:
        """Return a client whose calls are not told; closed with the story."""
        made = httpx.Client(timeout=10.0, trust_env=False, event_hooks=hooks)
        self._clients.callback(made.close)
        return made

    def close(self) -> None:
        """Close every client."""
        self._clients.close()

    def expect(self, answer: httpx.Response, status: int, **fields: Any) -> Any:
        """Return the JSON of an answer that must be as told; raises Unexpected otherwise."""
        body = answer.json() if answer.content else {}
        wrong = {name: body.get(name) for name, value in fields.items() if body.get(name) != value}
        if answer.status_code != status or wrong:
            raise Unexpected(f"Told was {status} {fields}, but {answer.status_code} came: {answer.text[:400]}")
        return body

    def end(self, words: str) -> None:
        """Close the story."""
        self._console.print(f"\n[bold green]{escape(words)}[/] [dim]({self.calls} calls told)[/]\n")

    def _told(self, response: httpx.Response) -> None:
        request = response.request
        if any(quiet in request.url.path for quiet in _QUIET):
            return
        response.read()
        self.calls += 1
        colour = "green" if response.status_code < 400 else "red"
        where = escape(f"{request.method} {request.url.raw_path.decode()}")
        self._console.print(f"  [bold]{where}[/] [dim]{escape(_short(request.content))}[/]")
        self._console.print(f"    [{colour}]{response.status_code}[/] {escape(_short(response.content))}")


def _short(content: bytes) -> str:
    """Show JSON on one line, secrets and long values cut."""
    text = content.decode("utf-8", "replace")
    try:
        said = json.loads(text)
        if isinstance(said, dict):
            shown = {name: _cut(value) for name, value in said.items() if name not in ("show", "type", "title")}
            text = json.dumps(shown | {"show": said["show"]} if "show" in said else shown, ensure_ascii=False)
    except ValueError:
        text = "&".join(part for part in text.split("&") if "verifier" not in part)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def _cut(value: Any) -> Any:
    return value[:24] + "…" if isinstance(value, str) and len(value) > 60 else value
