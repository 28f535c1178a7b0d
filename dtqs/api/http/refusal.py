"""Problem documents (RFC 9457) as bytes, and the headers of every answer; pure.

gunicorn's master loads this module before gevent patches.
"""

from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus

import orjson

from dtqs.errors import Problem

MEDIA_TYPE = "application/problem+json"
SHOWN_PROBLEMS = 100
RETRY_AFTER_SECONDS = "2"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Answers hold tasks and tickets: no cache stores them, no browser guesses another type, no other site embeds them."""


def document(status: HTTPStatus, detail: str, errors: Sequence[Problem] = (), instance: str | None = None) -> bytes:
    """Return a problem document."""
    made: dict[str, object] = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
    if errors:
        made["errors"] = [{"field": problem.field, "message": problem.message} for problem in errors[:SHOWN_PROBLEMS]]
    if instance:
        made["instance"] = instance
    return orjson.dumps(made)


def reply(status: HTTPStatus, detail: str, request_id: str) -> bytes:
    """Return the last HTTP reply of a connection, for a request without an answer of the application."""
    body = document(status, detail)
    may_retry = {"Retry-After": RETRY_AFTER_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    headers = (
        {
            "Date": formatdate(usegmt=True),
            "Connection": "close",
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(body)),
            "X-Request-ID": request_id,
        }
        | HEADERS
        | may_retry
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {int(status)} {status.phrase}\r\n{lines}\r\n".encode("latin-1") + body
