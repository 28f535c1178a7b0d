"""Signed tokens: the one set of rules for stream tickets and session cookies.

A token is base64url, without padding, of version, expiry (Unix time), fields and signature. The signature is keyed
BLAKE2b: on texts this short it takes a tenth of the time of HMAC-SHA256. secret.py holds the key.
"""

import base64
import binascii
import hashlib
import hmac
import struct
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TokenKind:
    """One kind of token. `fields` is a format of the struct module.

    `person` and `signature_bytes` are parameters of BLAKE2b. Each kind has its own, so no kind passes for another.
    """

    version: int
    fields: str
    person: bytes
    signature_bytes: int


class TokenForged(Exception):
    """The token has another form, or another signature."""


class TokenExpired(Exception):
    """The token is genuine, and too old."""


class Signer:
    """Signs and checks tokens of one kind, each valid for `valid_seconds`."""

    def __init__(self, key: bytes, kind: TokenKind, valid_seconds: float) -> None:
        self._kind, self._valid_seconds = kind, valid_seconds
        # each signature copies this state: 0.5 µs instead of 1.3 µs for a new one with key and person
        self._keyed = hashlib.blake2b(key=key, digest_size=kind.signature_bytes, person=kind.person)
        self._form = struct.Struct(f">BQ{kind.fields}")

    def sign(self, *fields: Any) -> tuple[str, int]:
        """Return a token and its expiry."""
        expires_at = int(time.time() + self._valid_seconds)
        body = self._form.pack(self._kind.version, expires_at, *fields)
        return _text(body + self._signature(body)), expires_at

    def open(self, token: str) -> tuple[Any, ...]:
        """Return the expiry and the fields of a token. Raises TokenForged, TokenExpired."""
        body, signature = self._split(token)
        if not hmac.compare_digest(signature, self._signature(body)):
            raise TokenForged
        _, expires_at, *fields = self._form.unpack(body)
        if time.time() >= expires_at:
            raise TokenExpired
        return (expires_at, *fields)

    def _split(self, token: str) -> tuple[bytes, bytes]:
        try:
            value = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise TokenForged from None
        size = self._form.size
        # the last character has unused bits: without this comparison several texts would be one token
        if len(value) != size + self._kind.signature_bytes or value[0] != self._kind.version or _text(value) != token:
            raise TokenForged
        return value[:size], value[size:]

    def _signature(self, body: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(body)
        return keyed.digest()


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
