"""Cursors of listings. A page may end at a task of another key, whose id must stay secret: that cursor is sealed.

A sealed cursor is the id's 16 bytes, enciphered by four Feistel rounds over keyed BLAKE2b. Without the API's secret,
nobody can reverse this permutation.
"""

import base64
import binascii
import hashlib
import uuid

_MARK = "~"
_ROUNDS = 4
_HALF = 8
_LENGTH = 23


class Cursors:
    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, task_id: str) -> str:
        left, right = _halves(uuid.UUID(task_id).bytes)
        for number in range(_ROUNDS):
            left, right = right, self._mixed(left, right, number)
        return _MARK + base64.urlsafe_b64encode(left + right).rstrip(b"=").decode()

    def open(self, cursor: str) -> str | None:
        """Return the id of a sealed cursor; None for a text of another form.

        A forged cursor stands for a random id, and its page still shows only tasks of the caller.
        """
        if len(cursor) != _LENGTH or not cursor.startswith(_MARK):
            return None
        try:
            value = base64.b64decode(cursor[1:].encode("ascii") + b"==", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        left, right = _halves(value)
        for number in reversed(range(_ROUNDS)):
            left, right = self._mixed(right, left, number), left
        return str(uuid.UUID(bytes=left + right))

    def _mixed(self, half: bytes, by: bytes, number: int) -> bytes:
        pad = hashlib.blake2b(
            by, key=self._key, digest_size=_HALF, person=b"dtqs cursor", salt=bytes([number])
        ).digest()
        return bytes(a ^ b for a, b in zip(half, pad, strict=True))


def _halves(value: bytes) -> tuple[bytes, bytes]:
    return value[:_HALF], value[_HALF:]
