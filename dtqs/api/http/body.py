"""Request bodies: limits on bytes and time, and the end of the connection."""

import io
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import falcon
import gevent
from gunicorn.http.errors import ParseException

RESPONSE = "dtqs.response"
"""Key of gunicorn's response in the WSGI environment. Only it can end the connection after the answer."""
CLIENT_SECONDS = 30.0
"""Longest time without progress of a body or an answer. Streams have a limit of their own."""
SLOWEST_BYTES = 16 << 10
"""A body, and an answer, may take CLIENT_SECONDS, and a second for each 16 KiB. Byte by byte, it would never end."""
ANSWER_PIECE_BYTES = 256 << 10
"""Size of the pieces of an answer. The server joins its head with the first one, and must not copy a long answer."""
_PIECE_BYTES, _FIRST_BYTES, _STEP_BYTES = 1 << 20, 16 << 10, 64 << 10
"""Sizes of a piece, and of the first and the longest step of a body whose room grows."""
READ_BYTES = 32 << 10
"""Most bytes that are read from a connection at once. So no more of a body waits to be taken."""
_FRAMING_BYTES, _FRAMING_TIMES = 2 * READ_BYTES, 3
HOLDER, _SOCKET = "dtqs.holder", "gunicorn.socket"
"""Places in the WSGI environment: the id of the API key, and the connection. Requests of anybody have no holder."""


class ArrivedBody(io.BytesIO):
    """A body that is here as a whole, so reading it needs no time limit."""

    is_unread = False


def wait_for_client(environ: dict[str, Any], seconds: float | None) -> None:
    """Set the time limit of reads from the client and of sends to it, which begins anew. None removes it."""
    connection = environ.get(_SOCKET)
    if connection is not None:
        connection.settimeout(seconds)


@contextmanager
def endable(connection: Any, holder: str = "") -> Iterator[None]:
    """During the block others may end the reading from this connection, if connections become few.

    Without a holder it is the first to end: a body that comes without an API key, or after a refusal.
    """
    waits = getattr(connection, "waits", None)
    if waits is None:
        yield
        return
    waits.body_begins(connection, holder)
    try:
        yield
    finally:
        waits.body_ends(connection, holder)


def is_mostly_framing(wire_bytes: int, body_bytes: int) -> bool:
    """Tell whether a body comes in chunks so small that reading it costs too much: each takes 20 µs, of any size."""
    return wire_bytes > _FRAMING_BYTES + _FRAMING_TIMES * body_bytes


def forget_body(req: falcon.Request) -> None:
    """Free the memory of a body that was read. The server keeps it until the end of the answer."""
    incoming = req.env.get("wsgi.input")
    if isinstance(incoming, ArrivedBody):
        incoming.truncate(0)


def in_pieces(answer: Iterable[bytes]) -> Iterable[bytes]:
    """Cut a complete answer into pieces. A stream stays as it is."""
    if isinstance(answer, list) and len(answer) == 1 and len(answer[0]) > ANSWER_PIECE_BYTES:
        whole = answer[0]
        return [whole[start : start + ANSWER_PIECE_BYTES] for start in range(0, len(whole), ANSWER_PIECE_BYTES)]
    return answer


def cut_body(req: falcon.Request) -> None:
    """End the reading of this request's body for others. It is answered with 503."""
    connection = req.env.get(_SOCKET)
    if connection is not None:
        connection.cut()


def close_connection(req: falcon.Request) -> None:
    """End the connection after this response. gunicorn drops a Connection header, since it is hop-by-hop."""
    response: Any = req.env.get(RESPONSE)
    if response is not None:
        response.force_close()


def require_json(req: falcon.Request) -> None:
    """Raise HTTPUnsupportedMediaType for a body of another type."""
    media_type = (req.content_type or "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise falcon.HTTPUnsupportedMediaType(
            description=f"the body must be JSON, with Content-Type: application/json, not {media_type[:100]}"
        )


def read_body(req: falcon.Request, limit_bytes: int, cover: Callable[[int], None] = lambda _: None) -> bytes:
    """Return the whole body. `cover` holds room for a number of bytes, or raises, before they are read.

    It holds as much as has come, and a step more: a client that only announces a long body takes no room from others.
    Raises HTTPContentTooLarge, HTTPBadRequest (cut off), HTTPError (408: too slow).
    """
    length, incoming = checked_length(req, limit_bytes), req.env["wsgi.input"]
    if isinstance(incoming, ArrivedBody):
        cover(length or 0)
        return incoming.read()
    with endable(req.env.get(_SOCKET), req.env.get(HOLDER, "")):
        body = _Incoming(req).read_covered(limit_bytes + 1 if length is None else length, cover)
    _close_if_cut(req)
    if len(body) > limit_bytes:
        raise _too_large(req, limit_bytes)
    if length is not None and len(body) < length:
        raise _cut_off(req)
    return body


def pieces(
    req: falcon.Request, limit_bytes: int, room: Callable[[int], int] = lambda size_bytes: size_bytes
) -> Generator[bytes, None, None]:
    """Yield the body in pieces of at most 1 MiB. The caller closes it. Raises the errors of read_body.

    `room` holds room for a piece and returns its size. The first piece needs none, so an announced length holds none.
    """
    length, total, incoming = checked_length(req, limit_bytes), 0, _Incoming(req)
    with endable(req.env.get(_SOCKET), req.env.get(HOLDER, "")):
        while piece := incoming.read(room(_PIECE_BYTES) if total else _FIRST_BYTES):
            total += len(piece)
            if total > limit_bytes:
                raise _too_large(req, limit_bytes)
            yield piece
    _close_if_cut(req)
    if length is not None and total < length:
        raise _cut_off(req)


def _close_if_cut(req: falcon.Request) -> None:
    """End the connection after this response if its reading was ended. The body may have come as a whole before."""
    if _is_cut(req):
        close_connection(req)


def _is_cut(req: falcon.Request) -> bool:
    return getattr(req.env.get(_SOCKET), "is_cut", False)


def checked_length(req: falcon.Request, limit_bytes: int) -> int | None:
    """Return the announced length, or None for a chunked body. Raises HTTPContentTooLarge before reading."""
    length = req.content_length
    if length is not None and length > limit_bytes:
        raise _too_large(req, limit_bytes)
    return length


class _Incoming:
    """A body as it arrives, and the time left for it. Time between two reads does not count."""

    def __init__(self, req: falcon.Request) -> None:
        self._req, self._stream = req, req.env["wsgi.input"]
        connection = req.env.get(_SOCKET)
        self._left: float | None = connection.gettimeout() if connection is not None else None
        self._connection, self._taken = connection, 0
        self._begin: int = getattr(connection, "body_bytes", 0)

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end of the body."""
        if size <= _STEP_BYTES:
            return self._step(size)
        steps: list[bytes] = []
        while size > 0 and (step := self._step(min(size, _STEP_BYTES))):
            steps.append(step)
            size -= len(step)
        return b"".join(steps)

    def read_covered(self, size: int, cover: Callable[[int], None]) -> bytes:
        """Return `size` bytes, fewer at the end of the body. `cover` is called before each step, which grow."""
        steps: list[bytes] = []
        while size > 0:
            wanted = min(size, _STEP_BYTES, max(_FIRST_BYTES, self._taken))
            cover(self._taken + wanted)
            if not (step := self._step(wanted)):
                break
            steps.append(step)
            size -= len(step)
        return b"".join(steps)

    def _step(self, size: int) -> bytes:
        began, limit = time.monotonic(), gevent.Timeout(self._left)
        try:
            with limit:
                step = bytes(self._stream.read(size))
        except (TimeoutError, gevent.Timeout) as error:
            if isinstance(error, gevent.Timeout) and error is not limit:
                raise
            close_connection(self._req)
            raise falcon.HTTPError(falcon.HTTP_408, description="the body did not come in time") from None
        except (OSError, ParseException):
            raise _cut_off(self._req) from None
        self._taken += len(step)
        if is_mostly_framing(getattr(self._connection, "body_bytes", 0) - self._begin, self._taken):
            close_connection(self._req)
            raise falcon.HTTPBadRequest(description="the body's chunks are too small; send chunks of 100 bytes or more")
        if self._left is not None:
            self._left += len(step) / SLOWEST_BYTES - (time.monotonic() - began)
        return step


def _too_large(req: falcon.Request, limit_bytes: int) -> falcon.HTTPContentTooLarge:
    close_connection(req)
    return falcon.HTTPContentTooLarge(description=f"the body is longer than the allowed {limit_bytes} bytes")


def _cut_off(req: falcon.Request) -> falcon.HTTPError:
    close_connection(req)
    if _is_cut(req):
        return falcon.HTTPServiceUnavailable(
            description="connections or room are few, and this body was slow to come: it was ended for others",
            retry_after=1,
        )
    return falcon.HTTPBadRequest(description="the body ended before its announced end")
