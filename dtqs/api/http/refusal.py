"""Problem documents (RFC 9457) as bytes, and what every answer says of itself; pure, since gunicorn's master loads it before gevent patches."""

from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus

import orjson

from dtqs.errors import Problem

MEDIA_TYPE = "application/problem+json"
SHOWN_PROBLEMS = 100
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Answers hold tasks and tickets: nobody keeps them, guesses another type, or embeds them in a page of another site."""


def document(status: HTTPStatus, detail: str, errors: Sequence[Problem] = (), instance: str | None = None) -> bytes:
    """Return a problem document."""
    made: dict[str, object] = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
    if errors:
        made["errors"] = [{"field": problem.field, "message": problem.message} for problem in errors[:SHOWN_PROBLEMS]]
    if instance:
        made["instance"] = instance
    return orjson.dumps(made)


def reply(status: HTTPStatus, detail: str) -> bytes:
    """Return a whole HTTP reply, the connection's last, for a request that no application has seen."""
    body = document(status, detail)
    headers = {
        "Date": formatdate(usegmt=True),
        "Connection": "close",
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
    } | HEADERS
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {int(status)} {status.phrase}\r\n{lines}\r\n".encode("latin-1") + body
