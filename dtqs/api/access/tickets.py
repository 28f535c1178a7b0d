"""Tickets in the URLs of streams. Until it expires, a ticket lets its holder watch the tasks of one submit only."""

from collections.abc import Sequence

import falcon

from dtqs.api.access.signing import Signer, TokenExpired, TokenForged, TokenKind
from dtqs.id_run import is_among

_TICKET = TokenKind(version=1, fields="16sH", person=b"", signature_bytes=16)
"""First task id and number of ids. Every accepted task's answer holds a ticket, so its signature is short."""


class Tickets:
    """Signs and checks tickets."""

    def __init__(self, key: bytes, valid_seconds: float) -> None:
        self._signer = Signer(key, _TICKET, valid_seconds)

    def sign(self, first_id: str, count: int = 1) -> str:
        """Return a ticket for `count` tasks whose ids follow one another from the first."""
        return self._signer.sign(bytes.fromhex(first_id.replace("-", "")), count)[0]

    def allowed(self, ticket: str, task_ids: Sequence[str]) -> list[str]:
        """Return the ids that the ticket covers. Raises HTTPUnauthorized if it is forged or has expired."""
        try:
            _, first_id, count = self._signer.open(ticket)
        except TokenForged:
            raise _unauthorized("this API has not signed it") from None
        except TokenExpired:
            raise _unauthorized("it has expired") from None
        return [task_id for task_id in task_ids if is_among(task_id, first_id, count)]


def _unauthorized(reason: str) -> falcon.HTTPUnauthorized:
    return falcon.HTTPUnauthorized(description=f"the ticket is not valid: {reason}", challenges=['Bearer realm="dtqs"'])
