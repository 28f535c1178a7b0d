"""The private parts of gunicorn that the API reads or sets; nothing else in DTQS touches one.

tests/unit/api/test_gunicorn_private.py names each. gunicorn's methods that we override are in master.py and worker.py.
"""

from typing import Any

from gevent import socket
from gunicorn import SERVER, util
from gunicorn.http import wsgi
from setproctitle import setproctitle

SERVER_NAME: str = SERVER
"""The value of the field `Server`."""
TESTED_VERSIONS = frozenset({"27.0"})
"""Tested versions of gunicorn, by major and minor number."""


def cache_settings(cfg: Any) -> None:
    """Turn the settings into plain attributes.

    gunicorn computes a setting at each of 60 accesses in a request. Measured with timeit: 0.06 µs instead of 0.87 µs
    an access, so 49 µs of processor time for each request on a loaded machine.
    """
    cfg.__dict__.update({name: setting.get() for name, setting in cfg.settings.items()})


def shared_environ(cfg: Any) -> dict[str, Any]:
    """Return the part of a WSGI environment that all requests share."""
    return dict(wsgi.base_environ(cfg))


def set_process_titles() -> None:
    """Name processes `dtqs: api ...`. gunicorn otherwise sets its own titles, and again at each reload."""
    util._setproctitle = lambda title: setproctitle(f"dtqs: api {title.partition(' ')[0]}")


def set_restart_command(master: Any, command: list[str]) -> None:
    """Set the command that SIGUSR2 runs."""
    master.START_CTX["args"] = command


def make_sockets_cooperative(worker: Any) -> None:
    """Replace a worker's listening sockets by gevent's, as gunicorn's own `patch` does."""
    worker.sockets = [socket.socket(one.FAMILY, socket.SOCK_STREAM, fileno=one.sock.detach()) for one in worker.sockets]


def take_expectation(request: Any) -> bool:
    """Return whether the client waits for `100 Continue`, and keep gunicorn from sending it at once."""
    expects: bool = request._expected_100_continue
    request._expected_100_continue = False
    return expects


def has_next_head(request: Any) -> bool:
    """Tell whether bytes of the next request have come behind this one. Empty lines before a request are ignored."""
    return bool(request.unreader.buf.getbuffer().nbytes) and bool(request.unreader.buf.getvalue().strip(b"\r\n"))


def is_unread(request: Any) -> bool:
    """Tell whether a part of the request's body may still come."""
    reader = request.body.reader
    return bool(request.body.failed or getattr(reader, "length", 0) > 0 or getattr(reader, "parser", None) is not None)


def limit_trailers(request: Any, most_bytes: int) -> None:
    """Bound the trailers of a chunked body. gunicorn alone takes 800 KB of them, and parses them in one piece."""
    request.body.reader.limit_trailer_section = most_bytes


def swap_must_close(request: Any, must_close: bool) -> bool:
    """Set whether the connection ends after this request, and return the old value."""
    before: bool = request.must_close
    request.must_close = must_close
    return before


def response_of(start_response: Any) -> Any:
    """Return gunicorn's response from the WSGI callable; None under another server."""
    return getattr(start_response, "__self__", None)
