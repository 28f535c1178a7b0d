"""Sessions of browsers: a cookie that names an API key by its id, until when, and is signed; nothing is stored, and a revoked key ends its sessions.

The cookie is base64url of version, expiry, key id and a signature; it is signed as tickets are, but personalised, so that neither passes for the other.
"""

import base64
import binascii
import hashlib
import hmac
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import falcon

from dtqs.store.api_keys import REMEMBERED_SECONDS, ApiKey

COOKIE = "dtqs_session"
_FORM = struct.Struct(">BQ16s")
_VERSION = 1
_SIGNATURE_BYTES = 32
_PERSON = b"dtqs session"
_REMEMBERED_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Session:
    """Whose it is, and when it ends, in Unix time."""

    key: ApiKey
    expires_at: int


class Sessions:
    """Begins and judges sessions. `signing_key` is asked for once; `find` is the store's look-up of a key that is still good, by id."""

    def __init__(self, signing_key: Callable[[], bytes], find: Callable[[str], ApiKey | None], valid_seconds: float) -> None:
        self._signing_key, self._find, self._valid_seconds = signing_key, find, valid_seconds
        self._key = b""
        self._remembered: dict[str, tuple[float, ApiKey | None]] = {}

    def begin(self, key_id: str) -> tuple[str, int]:
        """Return a new session's cookie and when it ends. Raises StoreUnavailable."""
        expires_at = int(time.time() + self._valid_seconds)
        body = _FORM.pack(_VERSION, expires_at, uuid.UUID(key_id).bytes)
        return base64.urlsafe_b64encode(body + self._signature(body)).rstrip(b"=").decode(), expires_at

    def of(self, req: falcon.Request) -> Session | None:
        """Return the session of a request; None where it has none, or one that is forged, over or of a revoked key. Raises StoreUnavailable."""
        value = _decoded(req.cookies.get(COOKIE, ""))
        if value is None:
            return None
        body, signature = value[: _FORM.size], value[_FORM.size :]
        if not hmac.compare_digest(signature, self._signature(body)):
            return None
        _, expires_at, key_id = _FORM.unpack(body)
        key = self._known(str(uuid.UUID(bytes=key_id))) if time.time() < expires_at else None
        return Session(key, expires_at) if key else None

    def _known(self, key_id: str) -> ApiKey | None:
        now = time.monotonic()
        until, key = self._remembered.get(key_id, (0.0, None))
        if now < until:
            return key
        key = self._find(key_id)
        if len(self._remembered) >= _REMEMBERED_LIMIT:
            self._remembered.clear()
        self._remembered[key_id] = (now + REMEMBERED_SECONDS, key)
        return key

    def _signature(self, body: bytes) -> bytes:
        if not self._key:
            self._key = self._signing_key()
        return hashlib.blake2b(body, key=self._key, digest_size=_SIGNATURE_BYTES, person=_PERSON).digest()


def _decoded(cookie: str) -> bytes | None:
    try:
        value = base64.b64decode(cookie.encode("ascii") + b"=" * (-len(cookie) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if len(value) == _FORM.size + _SIGNATURE_BYTES and value[0] == _VERSION else None
