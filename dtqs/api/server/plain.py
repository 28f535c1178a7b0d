"""Plain requests: the usual submits, reads of one task and streams, served without gunicorn's parser and response.

gunicorn needs half of a submit's processor time. A request is plain only if its head has one possible meaning. The
application gets the same environment, the client the same answer; tests/unit/api/test_plain.py compares them.
"""

import functools
import io
import os
import re
import time
from collections.abc import Iterable
from email.utils import formatdate
from typing import Any

from dtqs.api.http.body import ArrivedBody
from dtqs.api.server.gunicorn_private import SERVER_NAME, shared_environ

HEAD_BYTES, BODY_BYTES = 8 << 10, 64 << 10
"""Limits of a plain request. gunicorn judges a longer one."""
_LINES = re.compile(r"(?:POST /submit|GET (?:/tasks/[0-9a-fA-F-]{1,36}|/sse\?[\w.~%&=,+-]*)) HTTP/1\.1", re.ASCII)
_FIELDS = {
    "host": "HTTP_HOST",
    "content-type": "CONTENT_TYPE",
    "content-length": "CONTENT_LENGTH",
    **{
        name: f"HTTP_{name.upper().replace('-', '_')}"
        for name in (
            "accept", "accept-encoding", "accept-language", "authorization", "cache-control", "connection", "cookie",
            "dnt", "idempotency-key", "last-event-id", "origin", "pragma", "prefer", "priority", "referer",
            "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-dest", "sec-fetch-mode",
            "sec-fetch-site", "sec-gpc", "traceparent", "tracestate", "user-agent", "x-forwarded-for", "x-request-id",
        )
    },
}  # fmt: skip
"""Header fields of plain requests. None of them changes how gunicorn reads a request, but for `Connection`."""
_FIELDS |= {name.title(): key for name, key in _FIELDS.items()}
_CONNECTION = "HTTP_CONNECTION"
_DROPPED = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding",
     "upgrade", "server", "date")
)  # fmt: skip
"""Fields of an answer that the server sets, not the application."""


class PendingBody:
    """A body of known length, of which a part is still to come."""

    def __init__(self, connection: Any, begun: bytes, length: int) -> None:
        self._connection, self._begun, self._left = connection, io.BytesIO(begun), length - len(begun)

    @property
    def is_unread(self) -> bool:
        return self._left > 0

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, fewer at the end of the body or of the connection."""
        pieces = [self._begun.read(size)]
        missing = self._left if size < 0 else min(self._left, size - len(pieces[0]))
        while missing > 0 and (piece := self._connection.recv(missing)):
            pieces.append(piece)
            missing -= len(piece)
            self._left -= len(piece)
        return b"".join(pieces)


class PlainResponse:
    """The answer to one plain request, in the place of gunicorn's response."""

    __slots__ = ("has_begun", "headers", "is_last", "status")

    def __init__(self, is_last: bool) -> None:
        self.status, self.is_last, self.has_begun = "", is_last, False
        self.headers: list[tuple[str, str]] = []

    def force_close(self) -> None:
        """End the connection after this answer."""
        self.is_last = True

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        self.status, self.headers = status, headers

    def head(self, now: float) -> bytes:
        """Return the head. A body without a length ends with the connection. Raises ValueError for a control."""
        lines = [f"HTTP/1.1 {self.status}", f"Server: {SERVER_NAME}", f"Date: {_date(int(now))}"]
        has_length = False
        for name, value in self.headers:
            lower = name.lower()
            if lower not in _DROPPED:
                has_length = has_length or lower == "content-length"
                lines.append(f"{name}: {value}")
        self.is_last = self.is_last or not has_length
        lines.insert(3, "Connection: close" if self.is_last else "Connection: keep-alive")
        for line in lines:
            if not line.isprintable():
                raise ValueError(f"the application set a header with a control character: {line[:100]!r}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class PlainRequests:
    """Serves the plain requests of one process's connections."""

    def __init__(self, cfg: Any) -> None:
        self._base = shared_environ(cfg) | {
            "wsgi.multithread": True,
            "wsgi.url_scheme": "http",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SCRIPT_NAME": "",
        }
        # with any of these gunicorn reads requests, or tells about them, in a way that is not repeated here
        self._is_on = not (
            cfg.is_ssl or cfg.proxy_protocol not in (False, "off") or cfg.accesslog or os.environ.get("SCRIPT_NAME")
        )

    def template(self, connection: Any, server: Any, client: Any) -> dict[str, Any] | None:
        """Return the part of the environment that all requests of a connection share; None if none is plain."""
        if not (self._is_on and isinstance(server, tuple) and isinstance(client, tuple)):
            return None
        return self._base | {
            "gunicorn.socket": connection,
            "SERVER_NAME": server[0],
            "SERVER_PORT": str(server[1]),
            "REMOTE_ADDR": client[0],
            "REMOTE_PORT": str(client[1]),
        }


def environ_of(template: dict[str, Any], head: bytes) -> dict[str, Any] | None:
    """Return the environment of a request, without its body; None if it is not plain."""
    try:
        line, *fields = head.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        return None
    if not _LINES.fullmatch(line):
        return None
    environ = template.copy()
    for field in fields:
        name, colon, value = field.partition(":")
        key = _FIELDS.get(name) or _FIELDS.get(name.lower())
        # a control character in a field is not printable; a repeated field may have two meanings
        if not colon or key is None or key in environ or not field.isprintable():
            return None
        environ[key] = value.strip(" ")
    method, target, _ = line.split(" ")
    path, _, query = target.partition("?")
    environ["REQUEST_METHOD"], environ["RAW_URI"], environ["PATH_INFO"] = method, target, path
    environ["QUERY_STRING"] = query
    return environ if _is_framed_plainly(environ) else None


def _is_framed_plainly(environ: dict[str, Any]) -> bool:
    """Tell whether the request has one host, a short length exactly with a body, and does not end the connection."""
    if "HTTP_HOST" not in environ or environ.get(_CONNECTION, "keep-alive").lower() != "keep-alive":
        return False
    length = environ.get("CONTENT_LENGTH")
    if environ["REQUEST_METHOD"] == "GET":
        return length is None
    return length is not None and len(length) <= 5 and length.isdecimal() and int(length) <= BODY_BYTES


def body_of(environ: dict[str, Any], data: bytes, start: int, connection: Any) -> tuple[Any, bytes]:
    """Return the body that begins at `start` of the data, and the bytes behind it."""
    length = int(environ.get("CONTENT_LENGTH", 0))
    if start + length <= len(data):
        return ArrivedBody(data[start : start + length]), data[start + length :]
    return PendingBody(connection, data[start:], length), b""


def send_answer(connection: Any, response: PlainResponse, answer: Iterable[bytes]) -> None:
    """Send an answer, its head together with the first piece."""
    try:
        pieces = iter(answer)
        first = next(pieces, b"")  # a generator calls start_response here
        head = response.head(time.time())
        response.has_begun = True
        connection.send_together(head, first)
        for piece in pieces:
            connection.sendall(piece)
    finally:
        if close := getattr(answer, "close", None):
            close()


@functools.lru_cache(maxsize=1)
def _date(second: int) -> str:
    """Return the date for a head. One text serves all answers of a second."""
    return formatdate(second, usegmt=True)
