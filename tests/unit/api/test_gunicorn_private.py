"""The private parts of gunicorn in dtqs/api/server/gunicorn_private.py, by name. A changed one fails here first."""

import inspect
import io
import re
from types import SimpleNamespace

import gunicorn
import pytest
from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.http import body, message, unreader
from gunicorn.http.wsgi import Response

from dtqs.api.server.gunicorn_private import TESTED_VERSIONS, cache_settings, has_next_head
from tests.support.source import ROOT

_PRIVATE = re.compile(r"\.(_expected_100_continue|unreader|must_close|START_CTX|_setproctitle|body\.reader)\b")


def test_the_installed_version_of_gunicorn_is_a_tested_one() -> None:
    assert ".".join(gunicorn.__version__.split(".")[:2]) in TESTED_VERSIONS


def test_a_request_and_its_body_have_the_attributes() -> None:
    assert {"body", "unreader", "must_close", "_expected_100_continue"} <= set(
        message.Message.__init__.__code__.co_names
    )
    assert "buf" in unreader.Unreader.__init__.__code__.co_names
    assert "length" in body.LengthReader.__init__.__code__.co_names
    assert "parser" in body.ChunkedReader.__init__.__code__.co_names
    assert "limit_trailer_section" in body.ChunkedReader.parse_trailers.__code__.co_names
    assert {"reader", "failed"} <= set(body.Body.__init__.__code__.co_names)


def test_the_response_the_restart_command_and_the_titles_are_there() -> None:
    assert inspect.isfunction(Response.start_response)
    assert inspect.isfunction(Response.force_close)
    assert isinstance(Arbiter.START_CTX, dict)
    assert list(inspect.signature(util._setproctitle).parameters) == ["title"]


def test_cached_settings_have_the_same_values() -> None:
    plain, cached = Config(), Config()
    cache_settings(cached)
    for name in plain.settings:
        assert getattr(cached, name) == getattr(plain, name)


def test_no_other_file_touches_a_private_part() -> None:
    files = [*(ROOT / "dtqs" / "api" / "server").glob("*.py"), ROOT / "conf" / "gunicorn.conf.py"]
    touching = {path.name for path in files if _PRIVATE.search(path.read_text(encoding="utf-8"))}
    assert touching == {"gunicorn_private.py"}


@pytest.mark.parametrize(
    ("behind", "has_begun"), [(b"", False), (b"\r\n", False), (b"\r\n\r\nG", True), (b"GET", True)]
)
def test_empty_lines_behind_a_request_are_no_next_head(behind: bytes, has_begun: bool) -> None:
    request = SimpleNamespace(unreader=SimpleNamespace(buf=io.BytesIO(behind)))
    assert has_next_head(request) is has_begun
