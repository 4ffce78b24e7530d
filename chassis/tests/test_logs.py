"""No document number, phone or token leaves in a log line, whatever a caller logs."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from chassis import logs

SECRETS = ("33040019900501001X", "13812345678", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "hunter2")


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure("test-svc", "info")
    output = io.StringIO()
    for handler in root.handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(output)
    yield output
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()


def test_personal_data_is_masked_in_our_logs_and_in_a_librarys(written: io.StringIO) -> None:
    structlog.get_logger("ours").info(
        "enrolled 33040019900501001X", phone="13812345678", nested={"password": "hunter2", "note": ["call 13812345678"]}
    )
    logging.getLogger("library").warning("Authorization: Bearer %s", SECRETS[2])
    try:
        raise ValueError("no such person 33040019900501001X")
    except ValueError:
        logging.getLogger("library").exception("failed")
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["service"] for line in lines] == ["test-svc"] * 3
    for secret in SECRETS:
        assert secret not in written.getvalue()


def test_what_is_not_text_is_masked_as_the_text_that_it_becomes(written: io.StringIO) -> None:
    structlog.get_logger("ours").warning(
        "failed", why=ValueError("no such person 33040019900501001X"), who={"+8613812345678"}, whom=b"13812345678"
    )
    for secret in SECRETS:
        assert secret not in written.getvalue()


def test_ids_and_amounts_are_left_as_they_are() -> None:
    harmless = "use 0198f0c2-7d3a-7abc-8def-0123456789ab of 1200 fen at 1772415000000"
    assert logs.masked(harmless) == harmless
