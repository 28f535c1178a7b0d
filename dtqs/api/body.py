"""Request bodies: how many bytes are read, and when a connection is not to be used again because some are left unread."""

from collections.abc import Iterator
from typing import Any

import falcon
from gunicorn.http.errors import ParseException

RESPONSE = "dtqs.response"
"""Where the WSGI entry leaves gunicorn's response in the environment: it alone can end the connection after the answer."""
_PIECE_BYTES = 1 << 20


def close_connection(req: falcon.Request) -> None:
    """End the connection after this response; a header of ours would be dropped, since it is hop-by-hop."""
    response: Any = req.env.get(RESPONSE)
    if response is not None:
        response.force_close()


def require_json(req: falcon.Request) -> None:
    """Raises HTTPUnsupportedMediaType for a body that says it is something else."""
    media_type = (req.content_type or "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise falcon.HTTPUnsupportedMediaType(description=f"the body must be JSON, with Content-Type: application/json, not {media_type[:100]}")


def read_body(req: falcon.Request, limit_bytes: int) -> bytes:
    """Return the whole body. Raises HTTPContentTooLarge, HTTPBadRequest when it is cut off."""
    length = checked_length(req, limit_bytes)
    body = _read(req, limit_bytes + 1 if length is None else length)
    if len(body) > limit_bytes:
        raise _too_large(req, limit_bytes)
    if length is not None and len(body) < length:
        raise _cut_off(req)
    return body


def pieces(req: falcon.Request, limit_bytes: int) -> Iterator[bytes]:
    """Give out the body in pieces of at most a mebibyte. Raises HTTPContentTooLarge, HTTPBadRequest when it is cut off."""
    length, total = checked_length(req, limit_bytes), 0
    while piece := _read(req, _PIECE_BYTES):
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


def _read(req: falcon.Request, size: int) -> bytes:
    try:
        return bytes(req.env["wsgi.input"].read(size))
    except (OSError, ParseException):
        raise _cut_off(req) from None


def _too_large(req: falcon.Request, limit_bytes: int) -> falcon.HTTPContentTooLarge:
    close_connection(req)
    return falcon.HTTPContentTooLarge(description=f"the body is longer than the allowed {limit_bytes} bytes")


def _cut_off(req: falcon.Request) -> falcon.HTTPBadRequest:
    close_connection(req)
    return falcon.HTTPBadRequest(description="the body ended before its announced end")
