"""gunicorn's gevent worker, with what gunicorn does otherwise than we want. tests/unit/api/test_worker.py names the private parts it relies on.

Idle connections end as soon as the worker ends. A request that cannot be understood gets a problem document. A client that is refused in the middle
of its body can read why, since its connection is not reset under it.
"""

import socket
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import gevent
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from dtqs.api.http.refusal import reply

_FIRST_SECONDS = 30.0
"""For so long a new connection's first request is waited for."""
_AT_ONCE_SECONDS = 0.01
_STATUSES: dict[type[Exception], HTTPStatus] = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.ForbiddenProxyRequest: HTTPStatus.FORBIDDEN,
    errors.ConfigurationProblem: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidResponseHeader: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidResponseHeaderName: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_DETAIL_CHARACTERS = 300
_LINGER_SECONDS, _LINGER_IDLE_SECONDS, _LINGER_BYTES = 10.0, 2.0, 64 << 20
"""A refused client may go on sending its body for so long, and so much of it, before its connection is reset."""


class ApiWorker(GeventWorker):  # type: ignore[misc]
    """Knows which connections have had an answer and wait for another request."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._idle: set[_Idle] = set()

    def timeout_ctx(self) -> gevent.Timeout:
        """Return the limit of the wait for a connection's next request; its first one is waited for also when we are to end."""
        connection = gevent.getcurrent()
        if not getattr(connection, "answered", False):
            connection.answered = True
            return gevent.Timeout(_FIRST_SECONDS, False)
        return _Idle(self._idle, self.cfg.keepalive if self.alive else _AT_ONCE_SECONDS)

    def init_process(self) -> None:
        # gunicorn looks each setting up through a method, sixty times for a request
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        super().init_process()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        _check_head(req)
        joining = _Joining(sock)
        try:
            super().handle_request(listener_name, req, joining, addr)
        except StopIteration:  # the reply was the connection's last
            joining.flush()
            if _is_unread(req):
                linger(sock)
            raise
        joining.flush()
        sock.settimeout(None)  # the limit of a request is not that of the wait for the next

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that gunicorn could not read, or whose application failed, with a problem document."""
        status = next((status for kind, status in _STATUSES.items() if isinstance(exc, kind)), None)
        if status is None:
            status = (
                HTTPStatus.BAD_REQUEST if isinstance(exc, errors.ParseException) else HTTPStatus.INTERNAL_SERVER_ERROR
            )
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.exception("Error handling request")
            detail = "an unexpected error, which is in the log"
        else:
            detail = str(exc)[:_DETAIL_CHARACTERS]
            self.log.warning("Invalid request from ip=%s: %s", addr[0] if addr else "", detail)
        with suppress(OSError):
            client.settimeout(_LINGER_IDLE_SECONDS)
            client.sendall(reply(status, detail))
            linger(client)

    def end_idle(self) -> None:
        """End the connections that wait for another request."""
        for idle in list(self._idle):
            idle.end()


class NoHost(errors.ParseException):  # type: ignore[misc]
    """HTTP/1.1 without a Host header (RFC 9112, 3.2)."""

    def __str__(self) -> str:
        return "an HTTP/1.1 request names its host; allowed: one Host header"


def _check_head(req: Any) -> None:
    """Refuse what gunicorn lets pass. Raises NoHost, UnsupportedTransferCoding (a body that is compressed on its way would be taken for JSON)."""
    has_host = req.version < (1, 1)
    for name, value in req.headers:
        if name == "HOST":
            has_host = True
        elif name == "TRANSFER-ENCODING" and value.strip(" \t").lower() != "chunked":
            raise errors.UnsupportedTransferCoding(value)
    if not has_host:
        raise NoHost


def _is_unread(req: Any) -> bool:
    """Tell whether a part of the request's body may still come."""
    reader = req.body.reader
    return req.body.failed or getattr(reader, "length", 0) > 0 or getattr(reader, "parser", None) is not None


def linger(connection: Any) -> None:
    """Say that nothing more comes from here, and take what the client still sends: a connection closed with unread bytes is reset, and the reply lost."""
    until, left = time.monotonic() + _LINGER_SECONDS, _LINGER_BYTES
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(_LINGER_IDLE_SECONDS)
        while left > 0 and time.monotonic() < until and (piece := connection.recv(1 << 16)):
            left -= len(piece)


class _Joining:
    """A connection whose first write, a reply's head, goes out with the second: one packet, and one waking of the client. Else it is the connection."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._head, self._first = connection, b"", True

    def sendall(self, data: bytes) -> None:
        if self._first:
            self._head, self._first = data, False
            return
        head, self._head = self._head, b""
        self._connection.sendall(head + data if head else data)

    def sendfile(self, *arguments: Any, **options: Any) -> Any:
        self.flush()
        return self._connection.sendfile(*arguments, **options)

    def flush(self) -> None:
        """Send what no second write has come for."""
        head, self._head = self._head, b""
        if head:
            self._connection.sendall(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _Idle(gevent.Timeout):  # type: ignore[misc]
    """A limit that can be made to pass at once."""

    def __init__(self, among: set["_Idle"], seconds: float) -> None:
        super().__init__(seconds, False)
        self._among, self._connection = among, gevent.getcurrent()

    def __enter__(self) -> "_Idle":
        self._among.add(self)
        return super().__enter__()  # type: ignore[no-any-return]

    def __exit__(self, *raised: Any) -> Any:
        self._among.discard(self)
        return super().__exit__(*raised)

    def end(self) -> None:
        gevent.get_hub().loop.run_callback(self._throw)

    def _throw(self) -> None:
        if self in self._among:  # else a request has come in this very turn
            self._connection.throw(self)
