"""Tickets in the URLs of streams. A ticket lets its holder watch the tasks of one submit only.

It ends when it expires, or when its key is revoked.
"""

from collections.abc import Callable
from dataclasses import dataclass

import falcon

from dtqs.api.access.signing import Signer, TokenExpired, TokenForged, TokenKind
from dtqs.id_run import id_bytes, id_text, is_among

_TICKET = TokenKind(version=3, fields="16s16sH", person=b"dtqs ticket", signature_bytes=16)
"""Key id, first task id and number of ids. Every accepted task's answer holds a ticket, so its signature is short."""
_EARLIER_TICKET = TokenKind(version=1, fields="16sH", person=b"", signature_bytes=16)
"""A ticket of earlier versions, without a key: only its expiry, or another secret, ends it."""
EARLIER_KEY = "00000000-0000-0000-0000-000000000001"
"""All streams with tickets of earlier versions count together, so they cannot take the places of keys."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A valid ticket: the key that submitted the tasks, and their ids, which follow one another."""

    key_id: str
    first_id: bytes
    count: int

    def covers(self, task_id: str) -> bool:
        return is_among(task_id, self.first_id, self.count)


class Tickets:
    """Signs and checks tickets. `is_revoked` looks up the key that a ticket names."""

    def __init__(
        self, key: bytes, valid_seconds: float, is_revoked: Callable[[str], bool] = lambda key_id: False
    ) -> None:
        self._signer = Signer(key, _TICKET, valid_seconds)
        self._earlier = Signer(key, _EARLIER_TICKET, valid_seconds)
        self._is_revoked = is_revoked

    def sign(self, key_id: str, first_id: str, count: int = 1) -> str:
        """Return a ticket for `count` tasks of a key whose ids follow one another from the first."""
        return self._signer.sign(id_bytes(key_id), id_bytes(first_id), count)[0]

    def open(self, ticket: str) -> Ticket:
        """Return the content of a ticket.

        Raises HTTPUnauthorized if it is forged, has expired, or names a revoked key, and StoreUnavailable.
        """
        opened = self._opened(ticket)
        if opened.key_id != EARLIER_KEY and self._is_revoked(opened.key_id):
            raise _unauthorized("its API key was revoked")
        return opened

    def _opened(self, ticket: str) -> Ticket:
        try:
            try:
                _, key_id, first_id, count = self._signer.open(ticket)
                return Ticket(id_text(key_id), first_id, count)
            except TokenForged:
                _, first_id, count = self._earlier.open(ticket)
                return Ticket(EARLIER_KEY, first_id, count)
        except TokenForged:
            raise _unauthorized("this API has not signed it") from None
        except TokenExpired:
            raise _unauthorized("it has expired") from None


def _unauthorized(reason: str) -> falcon.HTTPUnauthorized:
    return falcon.HTTPUnauthorized(description=f"the ticket is not valid: {reason}", challenges=['Bearer realm="dtqs"'])
