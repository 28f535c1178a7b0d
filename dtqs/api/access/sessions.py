"""Sessions of browsers: a signed cookie that names an API key by its id, until when, and a session. A revoked key and a logout end it.

The cookie is base64url of version, expiry, key id, session id and a signature; it is signed as tickets are, but personalised, so that neither
passes for the other. Running sessions are stored nowhere; a logout stores the id of the session that it ends.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import falcon

from dtqs.store.api_keys import REMEMBERED_SECONDS, ApiKey

COOKIE = "dtqs_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""Its name over TLS: then a browser takes it from this very host alone, and no neighbour's page can set it."""
_FORM = struct.Struct(">BQ16s16s")
_VERSION = 2
_SIGNATURE_BYTES = 32
_PERSON = b"dtqs session"
_REMEMBERED_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Session:
    """Whose it is, and when it ends, in Unix time."""

    session_id: str
    key: ApiKey
    expires_at: int


class Sessions:
    """Begins, judges and ends sessions. `find` and `end` are the store's: a key that is still good for a session, and a logout."""

    def __init__(
        self,
        key: bytes,
        find: Callable[[str, str], ApiKey | None],
        end: Callable[[str, int], None],
        valid_seconds: float,
        is_secure: bool = False,
    ) -> None:
        """Set `is_secure` where every browser comes over TLS."""
        self._key, self._find, self._end, self._valid_seconds, self._is_secure = (
            key,
            find,
            end,
            valid_seconds,
            is_secure,
        )
        self._remembered: dict[str, tuple[float, ApiKey | None]] = {}

    def begin(self, key_id: str) -> tuple[str, int]:
        """Return a new session's cookie and when it ends."""
        expires_at = int(time.time() + self._valid_seconds)
        body = _FORM.pack(_VERSION, expires_at, uuid.UUID(key_id).bytes, secrets.token_bytes(16))
        return base64.urlsafe_b64encode(body + self._signature(body)).rstrip(b"=").decode(), expires_at

    def is_secure(self, req: falcon.Request) -> bool:
        """Tell whether the browser came over TLS. A lie about it only hides the liar's own cookie."""
        return self._is_secure or req.scheme == "https" or req.forwarded_scheme == "https"

    def cookie_name(self, req: falcon.Request) -> str:
        return SECURE_COOKIE if self.is_secure(req) else COOKIE

    def of(self, req: falcon.Request) -> Session | None:
        """Return the session of a request; None where it has none, or one that is forged, over, ended or of a revoked key. Raises StoreUnavailable."""
        value = _decoded(req.cookies.get(self.cookie_name(req), ""))
        if value is None:
            return None
        body, signature = value[: _FORM.size], value[_FORM.size :]
        if not hmac.compare_digest(signature, self._signature(body)):
            return None
        _, expires_at, key_id, session_id = _FORM.unpack(body)
        if time.time() >= expires_at:
            return None
        session = str(uuid.UUID(bytes=session_id))
        key = self._known(str(uuid.UUID(bytes=key_id)), session)
        return Session(session, key, expires_at) if key else None

    def end(self, req: falcon.Request) -> None:
        """End the session of a request for good, if it has one. Raises StoreUnavailable."""
        if session := self.of(req):
            self._end(session.session_id, session.expires_at)
            self._remembered[session.session_id] = (time.monotonic() + REMEMBERED_SECONDS, None)

    def _known(self, key_id: str, session_id: str) -> ApiKey | None:
        now = time.monotonic()
        until, key = self._remembered.get(session_id, (0.0, None))
        if now < until:
            return key
        key = self._find(key_id, session_id)
        if len(self._remembered) >= _REMEMBERED_LIMIT:
            self._remembered.clear()
        self._remembered[session_id] = (now + REMEMBERED_SECONDS, key)
        return key

    def _signature(self, body: bytes) -> bytes:
        return hashlib.blake2b(body, key=self._key, digest_size=_SIGNATURE_BYTES, person=_PERSON).digest()


def _decoded(cookie: str) -> bytes | None:
    try:
        value = base64.b64decode(cookie.encode("ascii") + b"=" * (-len(cookie) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if len(value) == _FORM.size + _SIGNATURE_BYTES and value[0] == _VERSION else None
