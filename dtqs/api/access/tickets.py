"""Signed tickets for the URLs of streams: who holds one may watch the tasks of one submit until it expires, and nothing else.

A ticket is base64url of version, expiry, first id, number of ids and a signature of 128 bits (keyed BLAKE2b,
a tenth of the time of HMAC-SHA256 for so short a text). The key that signs is secret.py's.
"""

import base64
import binascii
import hashlib
import hmac
import struct
import time
from collections.abc import Sequence

import falcon

from dtqs.id_run import is_among

_FORM = struct.Struct(">BQ16sH")
_VERSION = 1
_SIGNATURE_BYTES = 16


class Tickets:
    """Signs and judges tickets."""

    def __init__(self, key: bytes, valid_seconds: float) -> None:
        self._key, self._valid_seconds = key, valid_seconds

    def sign(self, first_id: str, count: int = 1) -> str:
        """Return a ticket for the tasks whose ids follow one another from the first."""
        expires_at = int(time.time() + self._valid_seconds)
        body = _FORM.pack(_VERSION, expires_at, bytes.fromhex(first_id.replace("-", "")), count)
        return _text(body + self._signature(body))

    def allowed(self, ticket: str, task_ids: Sequence[str]) -> list[str]:
        """Return those of the ids that the ticket is for. Raises HTTPUnauthorized when it is forged or has expired."""
        body, signature = _take_apart(ticket)
        if not hmac.compare_digest(signature, self._signature(body)):
            raise _unauthorized("no ticket of ours")
        _, expires_at, first_id, count = _FORM.unpack(body)
        if time.time() >= expires_at:
            raise _unauthorized("it has expired")
        return [task_id for task_id in task_ids if is_among(task_id, first_id, count)]

    def _signature(self, body: bytes) -> bytes:
        return hashlib.blake2b(body, key=self._key, digest_size=_SIGNATURE_BYTES).digest()


def _take_apart(ticket: str) -> tuple[bytes, bytes]:
    try:
        value = base64.b64decode(ticket.encode("ascii") + b"=" * (-len(ticket) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _unauthorized("no ticket of ours") from None
    # the last character has bits that mean nothing: only one text is a ticket
    if len(value) != _FORM.size + _SIGNATURE_BYTES or value[0] != _VERSION or _text(value) != ticket:
        raise _unauthorized("no ticket of ours")
    return value[: _FORM.size], value[_FORM.size :]


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _unauthorized(reason: str) -> falcon.HTTPUnauthorized:
    return falcon.HTTPUnauthorized(description=f"the ticket is not valid: {reason}", challenges=['Bearer realm="dtqs"'])
