"""gunicorn's gevent worker, changed in four ways. Plain requests are served here. Idle connections end with the worker.

A malformed request gets a problem document. A client that is refused in the middle of its body can read the reason,
because its connection is not reset. gunicorn_private.py touches gunicorn's private parts.
"""

import functools
from http import HTTPStatus
from typing import Any

import gevent
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from dtqs.api.http.refusal import reply
from dtqs.api.http.request_ids import begin
from dtqs.api.server.connection import (
    AwaitedBody,
    Connection,
    HeadTimeout,
    Joining,
    linger,
    send_last,
    take_rest,
)
from dtqs.api.server.gunicorn_private import (
    cache_settings,
    has_next_head,
    is_unread,
    limit_trailers,
    make_sockets_cooperative,
    take_expectation,
)
from dtqs.api.server.patching import patch_the_rest
from dtqs.api.server.plain import HEAD_BYTES, PlainRequests, PlainResponse, body_of, environ_of, send_answer
from dtqs.api.server.waiting import RequestWaits, Wait
from dtqs.errors import TransientError

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
    errors.ParseException: HTTPStatus.BAD_REQUEST,
    TransientError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Statuses of errors. The first kind that fits counts."""
_OTHER_STATUS = HTTPStatus.INTERNAL_SERVER_ERROR
_DETAIL_CHARACTERS = 300
_TRAILER_BYTES = 4 << 10
"""Longest trailers of a chunked body, which nothing reads. Measured: 800 KB of them hold the loop for 2 s."""


class ApiWorker(GeventWorker):  # type: ignore[misc]
    """Knows the connections that wait for a request."""

    first_seconds = 30.0
    """Time limit for the first byte of a new connection."""
    head_seconds = 30.0
    """Time limit for a request's head, from its first byte to its end."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting = RequestWaits(
            lambda: self.cfg.keepalive if self.alive else _AT_ONCE_SECONDS,
            self.cfg.worker_connections,
        )
        self._plain = PlainRequests(self.cfg)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        connection = gevent.getcurrent().connection = Connection(client, self.head_seconds, self._waiting)
        if template := self._plain.template(connection, listener.getsockname(), addr):
            connection.plain = functools.partial(self._serve_plain, connection, template)
        self._waiting.opened()
        try:
            super().handle(listener, connection, addr)
        finally:
            self._waiting.closed()

    def timeout_ctx(self) -> Wait:
        """Return the limit for a wait. A connection's first request is awaited also while the worker ends."""
        connection: Connection = gevent.getcurrent().connection
        if not connection.answered:
            connection.answered = True
            return Wait(connection, self.first_seconds, self._waiting, is_idle=False)
        return Wait(connection, self._waiting.seconds(), self._waiting, is_idle=True)

    def patch(self) -> None:
        patch_the_rest()
        make_sockets_cooperative(self)

    def init_process(self) -> None:
        cache_settings(self.cfg)
        super().init_process()

    def _serve_plain(self, connection: Connection, template: dict[str, Any], data: bytes) -> bytes | None:
        """Serve the plain request at the start of the data. Return the bytes behind it; None if it is not plain.

        Raises StopIteration, which ends the connection in gunicorn's loop, as every other exception does.
        """
        end = data.find(b"\r\n\r\n", 0, HEAD_BYTES)
        environ = environ_of(template, data[:end]) if end > 0 else None
        if environ is None:
            return None
        body, rest = body_of(environ, data, end + 4, connection)
        environ["wsgi.input"] = body
        response = PlainResponse(is_last=not self.alive)
        try:
            send_answer(connection, response, self.wsgi(environ, response.start_response))
        except (OSError, StopIteration):
            raise
        except gevent.GreenletExit:  # the process ends, and has waited long enough for this answer
            raise StopIteration from None
        except (Exception, SystemExit) as error:
            if response.has_begun:  # a second head would be read as a part of the body
                self.log.exception("Error handling request")
            else:
                self._tell_error(environ.get("HTTP_X_REQUEST_ID"), connection, environ["REMOTE_ADDR"], error)
            raise StopIteration from None
        if response.is_last:
            if body.is_unread:
                linger(connection)
            raise StopIteration
        if body.is_unread and not take_rest(body, connection):
            raise StopIteration
        connection.settimeout(None)
        return rest

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        _check_head(req)
        limit_trailers(req, _TRAILER_BYTES)
        joining = Joining(sock)
        if take_expectation(req) and is_unread(req):
            req.body = AwaitedBody(req, sock)
        try:
            # GeventWorker's own method returns as usual after a kill, as if the answer were complete
            super(GeventWorker, self).handle_request(listener_name, req, joining, addr)
        except gevent.GreenletExit:  # the process ends, and has waited long enough for this answer
            raise StopIteration from None
        except StopIteration:  # the reply was the connection's last
            joining.flush()
            if is_unread(req):
                linger(sock)
            raise
        joining.flush()
        if is_unread(req) and not take_rest(req.body, sock):
            raise StopIteration
        # the wait for the next request has a limit of its own
        sock.settimeout(None)
        sock.has_begun = has_next_head(req)
        if sock.has_begun:
            gevent.sleep(0)  # as between plain requests

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a malformed request, or a failed application, with a problem document."""
        if isinstance(exc, gevent.GreenletExit):
            return  # the process ends: a second answer would be read as a part of the first
        given = next((value for name, value in getattr(req, "headers", ()) if name == "X-REQUEST-ID"), None)
        self._tell_error(given, client, addr[0] if addr else "", exc)

    def _tell_error(self, given_id: str | None, client: Any, ip: str, exc: BaseException) -> None:
        """Answer and log an error. gunicorn's texts quote the request, which may hold a ticket: none is logged.

        A dependency that fails at the first byte of an answer, such as a download's, is reported as anywhere else.
        """
        request_id = begin(given_id)
        status = next((status for kind, status in _STATUSES.items() if isinstance(exc, kind)), _OTHER_STATUS)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.exception("Error handling request")
            detail = "an unexpected error; the log has it"
        elif isinstance(exc, TransientError):
            self.log.warning("request refused: unavailable", extra={"reason": str(exc)})
            detail = "a dependency cannot be reached at the moment; nothing is lost, try again"
        else:
            detail = str(exc)[:_DETAIL_CHARACTERS]
            self.log.warning("Invalid request from ip=%s: %s, answered with %d", ip, type(exc).__name__, status)
        send_last(client, reply(status, detail, request_id))

    def end_idle(self) -> None:
        """End the idle connections."""
        self._waiting.end_idle()


class NoHost(errors.ParseException):  # type: ignore[misc]
    """HTTP/1.1 without a Host header (RFC 9112, 3.2)."""

    def __str__(self) -> str:
        return "an HTTP/1.1 request needs a Host header, exactly one"


def _check_head(req: Any) -> None:
    """Refuse heads that gunicorn accepts. Raises NoHost, UnsupportedTransferCoding.

    gunicorn would pass on a body with another transfer coding, such as gzip, undecoded.
    """
    has_host = req.version < (1, 1)
    for name, value in req.headers:
        if name == "HOST":
            has_host = True
        elif name == "TRANSFER-ENCODING" and value.strip(" \t").lower() != "chunked":
            raise errors.UnsupportedTransferCoding(value)
    if not has_host:
        raise NoHost
