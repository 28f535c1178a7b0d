"""The private parts of gunicorn that dtqs/api/master.py relies on. A new version that changes one fails here first."""

import inspect

import gunicorn
import pytest
from gunicorn import util
from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

TRIED = {"27.0"}
"""The versions that were tried, by major and minor number."""


def test_the_version_was_tried() -> None:
    assert ".".join(gunicorn.__version__.split(".")[:2]) in TRIED


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (Arbiter.handle_hup, ["self"]),
        (Arbiter.reap_workers, ["self"]),
        (Arbiter.manage_workers, ["self"]),
        (Application.load_config_from_file, ["self", "filename"]),
        (Application.reload, ["self"]),
        (util._setproctitle, ["title"]),
    ],
)
def test_a_method_that_is_replaced_takes_the_same_arguments(function: object, parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters  # type: ignore[arg-type]


def test_an_arbiter_starts_again_by_its_context_and_ends_by_an_exception() -> None:
    assert isinstance(Arbiter.START_CTX, dict)
    assert HaltServer("why", 4).reason == "why"
    source = inspect.getsource(Arbiter.reap_workers)
    assert "raise HaltServer(reason, self.APP_LOAD_ERROR)" in source
    assert "self.WORKERS.pop(wpid, None)" in source, "a process that could not boot is forgotten before the exception"
