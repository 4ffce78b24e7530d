"""Reads the forms and links of a plain HTML page, as a person without script would use them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Form:
    """One form: where it goes, its fields with what is in them, and its buttons."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)  # (name, value) of those that send one


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", "")))
        elif tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in ("input", "button") and self.forms and given.get("name"):
            if tag == "button":
                self.forms[-1].buttons.append((given["name"], given.get("value", "")))
            else:
                self.forms[-1].fields[given["name"]] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@dataclass(frozen=True)
class Page:
    """What a page offers."""

    forms: list[Form]
    links: list[str]
    text: str

    def form_with(self, name: str, value: str | None = None) -> Form | None:
        """Return the form that has a field, or a button, of this name."""
        for form in self.forms:
            if (name in form.fields and value is None) or (name, value) in form.buttons:
                return form
        return None


def read_page(html: str) -> Page:
    """Read a page."""
    reader = _Reader()
    reader.feed(html)
    return Page(reader.forms, reader.links, " ".join("".join(reader.text).split()))
