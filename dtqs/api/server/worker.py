"""gunicorn's gevent worker, with what gunicorn does otherwise than we want. tests/unit/api/test_worker.py names the private parts it relies on.

Idle connections end as soon as the worker ends. A request that cannot be understood gets a problem document. A client that is refused in the middle
of its body can read why, since its connection is not reset under it.
"""

from http import HTTPStatus
from typing import Any

import gevent
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from dtqs.api.http.refusal import reply
from dtqs.api.server.connection import (
    Asked,
    Connection,
    HeadTimeout,
    Joining,
    Wait,
    is_unread,
    linger,
    say_last,
    take_rest,
)

_AT_ONCE_SECONDS = 0.01
_STATUSES: dict[type[Exception], HTTPStatus] = {
    HeadTimeout: HTTPStatus.REQUEST_TIMEOUT,
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


class ApiWorker(GeventWorker):  # type: ignore[misc]
    """Knows which connections have had an answer and wait for another request."""

    first_seconds = 30.0
    """For so long a new connection's first byte is waited for."""
    head_seconds = 30.0
    """A head may take so long from its first byte to its end."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._idle: set[Wait] = set()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        connection = gevent.getcurrent().connection = Connection(client, self.head_seconds)
        super().handle(listener, connection, addr)

    def timeout_ctx(self) -> Wait:
        """Return the limit of the wait for a connection's next request; its first one is waited for also when we are to end."""
        connection: Connection = gevent.getcurrent().connection
        if not connection.answered:
            connection.answered = True
            return Wait(connection, self.first_seconds, None)
        return Wait(connection, self.cfg.keepalive if self.alive else _AT_ONCE_SECONDS, self._idle)

    def init_process(self) -> None:
        # gunicorn looks each setting up through a method, sixty times for a request
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        super().init_process()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        _check_head(req)
        joining = Joining(sock)
        if req._expected_100_continue:
            req._expected_100_continue = False  # gunicorn would ask at once, also for what is refused
            if is_unread(req):
                req.body = Asked(req, sock)
        try:
            super().handle_request(listener_name, req, joining, addr)
        except StopIteration:  # the reply was the connection's last
            joining.flush()
            if is_unread(req):
                linger(sock)
            raise
        joining.flush()
        if is_unread(req) and not take_rest(req):
            raise StopIteration
        sock.settimeout(None)  # the limit of a request is not that of the wait for the next
        sock.has_begun = req.unreader.buf.getbuffer().nbytes > 0

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
        say_last(client, reply(status, detail))

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
