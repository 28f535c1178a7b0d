"""Signs the outcomes that events carry. Anybody who may publish to RabbitMQ can forge a message, but no signature.

All processes share a key, which is a row of `settings`. A reader of the database who also publishes can forge outcomes.
"""

import hashlib
import hmac
from collections.abc import Sequence

from dtqs.event import SealedRow, sealed_row

_SIGNATURE_BYTES = 16
_PERSON = b"dtqs outcomes"
KEY_BYTES = 32


def key_of(text: object) -> bytes | None:
    """Return the key that is stored as this text, or None if it is no key."""
    try:
        key = bytes.fromhex(text) if type(text) is str else b""
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES else None


class EventSeal:
    """Without a key it signs nothing and trusts nothing: then each reader of an event looks into PostgreSQL."""

    def __init__(self) -> None:
        self._keyed: hashlib.blake2b | None = None
        self.needs_key = True
        """The key is unknown, or a signature did not fit: another key may be in use by now."""

    def learn(self, key: bytes | None) -> None:
        """Use this key from now on. None: there is no key."""
        self._keyed = None if key is None else hashlib.blake2b(key=key, digest_size=_SIGNATURE_BYTES, person=_PERSON)
        self.needs_key = key is None

    @property
    def has_key(self) -> bool:
        return self._keyed is not None

    def row(self, outcomes: Sequence[str]) -> SealedRow:
        """Return the row that carries these outcomes, each as JSON. There must be a key."""
        text = f"[{','.join(outcomes)}]"
        return sealed_row(self._signature(text), text)

    def is_genuine(self, signature: str, text: str) -> bool:
        if self._keyed is None:
            return False
        if hmac.compare_digest(signature.encode(), self._signature(text).encode()):
            return True
        self.needs_key = True
        return False

    def _signature(self, text: str) -> str:
        assert self._keyed is not None
        keyed = self._keyed.copy()
        keyed.update(text.encode())
        return keyed.hexdigest()
