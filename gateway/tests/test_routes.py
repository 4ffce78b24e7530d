"""The route file: what it may say, and what each mistake in it is called."""

from pathlib import Path

import pytest

from gateway.routes import ASSURANCE, RouteFileError, RouteTable, read_routes

GOOD = """[[route]]
path = "/v1/cards/{card}"
methods = ["GET"]
service = "card"
operation = "card.read"
scopes = ["card"]
assurance = "real-name"
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "routes.toml"
    file.write_text(text)
    return file


@pytest.fixture(scope="module")
def table() -> RouteTable:
    return read_routes()


def test_a_route_of_the_file_is_found(table: RouteTable) -> None:
    route = table.match("GET", "/v1/cards/01a")

    assert route is not None
    assert (route.operation, route.service, route.sensitive) == ("card.read", "card", False)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/cards/"),
        ("GET", "/v1/cards/a/b"),
        ("PUT", "/v1/cards/a"),
        ("GET", "/v1"),
        ("GET", ""),
        ("GET", "/v1/services/other/status"),
    ],
)
def test_everything_else_is_not(table: RouteTable, method: str, path: str) -> None:
    assert table.match(method, path) is None


def test_every_route_that_is_not_public_names_a_scope_and_an_assurance(table: RouteTable) -> None:
    for route in table.routes:
        assert route.public or (route.scopes and route.assurance), route.operation


def test_what_changes_a_card_or_charges_money_is_sensitive(table: RouteTable) -> None:
    sensitive = {route.operation for route in table.routes if route.sensitive}

    assert {"card.enable", "card.report_loss", "card.issue_code", "scenario.use_card"} <= sensitive


def test_assurance_is_ordered_from_weak_to_strong() -> None:
    assert ASSURANCE.index("client") < ASSURANCE.index("real-name") < ASSURANCE.index("real-person")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('path = "/v1/cards/{card}"', 'paht = "/v1/cards"'), "line 1, route card.read: path is missing"),
        (("assurance", "asurance"), "asurance is not a field of a route"),
        (('methods = ["GET"]', 'methods = "GET"'), "methods is of the wrong type"),
        (('methods = ["GET"]', 'methods = ["FETCH"]'), "methods must be some of"),
        (('service = "card"', 'service = "cards"'), "service must be one of"),
        (("card.read", "payment.read"), "operation must be card.<verb>"),
        (('scopes = ["card"]', 'scopes = ["Card!"]'), "scope 'Card!'"),
        (('scopes = ["card"]\n', ""), "names its scopes and its assurance"),
        (("real-name", "strong"), "assurance must be one of"),
        (('scopes = ["card"]', 'scopes = ["card"]\npublic = true'), "a public route has no token"),
        (('scopes = ["card"]', 'scopes = ["card"]\nbody_limit = true'), "body_limit is of the wrong type"),
        (('scopes = ["card"]', 'scopes = ["card"]\nbody_limit = -1'), "body_limit is a number of bytes"),
        (('scopes = ["card"]', 'scopes = ["card"]\ntimeout_s = 0'), "timeout_s is more than 0"),
        (("/v1/cards/{card}", "/v1/cards/{Card}"), "is not made of /names"),
        (("[[route]]", "[[routes]]"), "holds [[route]] tables and nothing else"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_route(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    with pytest.raises(RouteFileError) as refused:
        read_routes(written(tmp_path, GOOD.replace(*change)))

    assert complaint in str(refused.value)


def test_the_second_route_is_named_by_its_own_line(tmp_path: Path) -> None:
    second = "\n# a comment\n" + GOOD.replace("card.read", "card.read_again").replace("{card}", "all")

    with pytest.raises(RouteFileError, match=r"line 10, route card\.read_again: all stands where"):
        read_routes(written(tmp_path, GOOD + second))


def test_one_operation_or_address_stands_once(tmp_path: Path) -> None:
    with pytest.raises(RouteFileError, match="the operation stands already in line 1"):
        read_routes(written(tmp_path, GOOD + GOOD))
    with pytest.raises(RouteFileError, match="is routed twice"):
        read_routes(written(tmp_path, GOOD + GOOD.replace("card.read", "card.read_again")))
