"""The methods and errors of gunicorn on which dtqs/api/server/worker.py relies.

A version of gunicorn that has changed them fails here and not in operation.
"""

import inspect

from gunicorn.http import errors
from gunicorn.workers import base, base_async, ggevent

from dtqs.api.server.worker import ApiWorker


def test_the_overridden_methods_exist() -> None:
    assert list(inspect.signature(base.Worker.handle_error).parameters) == ["self", "req", "client", "addr", "exc"]
    assert list(inspect.signature(ggevent.GeventWorker.handle_request).parameters) == [
        "self",
        "listener_name",
        "req",
        "sock",
        "addr",
    ]
    assert "timeout_ctx" in vars(base_async.AsyncWorker)
    assert issubclass(ApiWorker, ggevent.GeventWorker)


def test_read_errors_go_to_handle_error() -> None:
    source = inspect.getsource(base_async.AsyncWorker.handle)
    assert source.count("self.handle_error(req, client, addr, e)") >= 2
    assert "self.handle_request(listener_name, req, client, addr)" in source
    assert "except StopIteration" in source


def test_the_errors_with_a_status_of_their_own_exist() -> None:
    for name in (
        "LimitRequestLine",
        "LimitRequestHeaders",
        "UnsupportedTransferCoding",
        "ExpectationFailed",
        "ForbiddenProxyRequest",
    ):
        assert issubclass(getattr(errors, name), errors.ParseException)
