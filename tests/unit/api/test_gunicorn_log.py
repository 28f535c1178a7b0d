"""gunicorn's lines have the format of DTQS, with the fields of the request."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from dtqs import log
from dtqs.api.http.request_ids import begin, log_fields
from dtqs.api.server.gunicorn_log import ApiLog


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect what the root logger writes as JSON, as in a process of the API."""
    written: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: written.append(handler.format(record))  # type: ignore[method-assign]
    handler.setFormatter(log._Json("api"))
    monkeypatch.setattr(log._Context, "fields", log_fields)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel("INFO")
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def answered(with_access_log: bool) -> ApiLog:
    """Make gunicorn's logger, and log one answered request and one error."""
    settings = Config()
    if with_access_log:
        settings.set("accesslog", "-")
    logger = ApiLog(settings)
    begin("order-4711")
    logger.access(
        SimpleNamespace(status_code=200, sent=77),
        SimpleNamespace(method="GET", path="/sse"),
        {"REMOTE_ADDR": "192.0.2.7", "QUERY_STRING": "ticket=secret"},
        timedelta(seconds=1.25),
    )
    logger.warning("Invalid request from ip=%s", "192.0.2.7")
    return logger


def test_an_answered_request_is_one_line_without_its_query(lines: list[str]) -> None:
    answered(with_access_log=True)
    request, warning = map(json.loads, lines)
    assert request | {"at": 0} == {
        "at": 0, "level": "info", "role": "api", "message": "request", "method": "GET", "path": "/sse", "status": 200,
        "size_bytes": 77, "client": "192.0.2.7", "seconds": 1.25, "request_id": "order-4711",
    }  # fmt: skip
    assert (warning["message"], warning["request_id"]) == ("Invalid request from ip=192.0.2.7", "order-4711")


def test_requests_are_not_logged_unless_access_log_is_on(lines: list[str]) -> None:
    answered(with_access_log=False)
    assert [json.loads(line)["level"] for line in lines] == ["warning"]
