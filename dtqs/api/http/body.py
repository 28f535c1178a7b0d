"""Request bodies: how many bytes are read, how long a client is waited for, and when its connection is not to be used again."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import falcon
import gevent
from gunicorn.http.errors import ParseException

RESPONSE = "dtqs.response"
"""Where the WSGI entry leaves gunicorn's response in the environment: it alone can end the connection after the answer."""
CLIENT_SECONDS = 30.0
"""A client that sends nothing of its body, or takes nothing of its answer, for so long is let go; streams have a rule of their own."""
SLOWEST_BYTES = 16 << 10
"""A body may take that time in all and a second for each so many bytes: one that comes byte by byte would else never end."""
ANSWER_PIECE_BYTES = 256 << 10
"""So much of an answer is sent at once: each piece has the client's time anew, so a slow client is not taken for one that stands still."""
_PIECE_BYTES, _STEP_BYTES = 1 << 20, 64 << 10
_SOCKET = "gunicorn.socket"


def wait_for_client(environ: dict[str, Any], seconds: float | None) -> None:
    """Let each read from the client and each send to it take so long; None: for ever."""
    connection = environ.get(_SOCKET)
    if connection is not None:
        connection.settimeout(seconds)


def in_pieces(answer: Iterable[bytes]) -> Iterable[bytes]:
    """Cut an answer that is there whole into pieces; what comes as a stream stays as it is."""
    if isinstance(answer, list) and len(answer) == 1 and len(answer[0]) > ANSWER_PIECE_BYTES:
        whole = answer[0]
        return [whole[start : start + ANSWER_PIECE_BYTES] for start in range(0, len(whole), ANSWER_PIECE_BYTES)]
    return answer


def close_connection(req: falcon.Request) -> None:
    """End the connection after this response; a header of ours would be dropped, since it is hop-by-hop."""
    response: Any = req.env.get(RESPONSE)
    if response is not None:
        response.force_close()


def require_json(req: falcon.Request) -> None:
    """Raises HTTPUnsupportedMediaType for a body that says it is something else."""
    media_type = (req.content_type or "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise falcon.HTTPUnsupportedMediaType(
            description=f"the body must be JSON, with Content-Type: application/json, not {media_type[:100]}"
        )


def read_body(req: falcon.Request, limit_bytes: int) -> bytes:
    """Return the whole body. Raises HTTPContentTooLarge, HTTPBadRequest when it is cut off, HTTPError (408) when it does not come."""
    length = checked_length(req, limit_bytes)
    body = _Incoming(req).read(limit_bytes + 1 if length is None else length)
    if len(body) > limit_bytes:
        raise _too_large(req, limit_bytes)
    if length is not None and len(body) < length:
        raise _cut_off(req)
    return body


def pieces(req: falcon.Request, limit_bytes: int) -> Iterator[bytes]:
    """Give out the body in pieces of at most a mebibyte. Raises as read_body."""
    length, total, incoming = checked_length(req, limit_bytes), 0, _Incoming(req)
    while piece := incoming.read(_PIECE_BYTES):
        total += len(piece)
        if total > limit_bytes:
            raise _too_large(req, limit_bytes)
        yield piece
    if length is not None and total < length:
        raise _cut_off(req)


def checked_length(req: falcon.Request, limit_bytes: int) -> int | None:
    """Return the length that the request announces, None where it is sent in chunks. Raises HTTPContentTooLarge before anything is read."""
    length = req.content_length
    if length is not None and length > limit_bytes:
        raise _too_large(req, limit_bytes)
    return length


class _Incoming:
    """A body as it comes, and the time that is left for it; what we do between two reads is not the client's."""

    def __init__(self, req: falcon.Request) -> None:
        self._req, self._stream = req, req.env["wsgi.input"]
        connection = req.env.get(_SOCKET)
        self._left: float | None = connection.gettimeout() if connection is not None else None

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer at the end of the body."""
        if size <= _STEP_BYTES:
            return self._step(size)
        steps: list[bytes] = []
        while size > 0 and (step := self._step(min(size, _STEP_BYTES))):
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
        if self._left is not None:
            self._left += len(step) / SLOWEST_BYTES - (time.monotonic() - began)
        return step


def _too_large(req: falcon.Request, limit_bytes: int) -> falcon.HTTPContentTooLarge:
    close_connection(req)
    return falcon.HTTPContentTooLarge(description=f"the body is longer than the allowed {limit_bytes} bytes")


def _cut_off(req: falcon.Request) -> falcon.HTTPBadRequest:
    close_connection(req)
    return falcon.HTTPBadRequest(description="the body ended before its announced end")
