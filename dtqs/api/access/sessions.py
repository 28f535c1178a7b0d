"""Sessions of browsers: a signed cookie that names an API key and a session. Expiry, logout or a revoked key ends it.

Running sessions are stored nowhere. A logout stores the id of the session that it ends.
"""

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import falcon

from dtqs.api.access.cookies import cookie
from dtqs.api.access.shared_lookups import SharedLookups
from dtqs.api.access.signing import Signer, TokenExpired, TokenForged, TokenKind
from dtqs.store.api_keys import REMEMBERED_SECONDS, ApiKey

COOKIE = "dtqs_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""The cookie's name over TLS. Browsers accept it from this host only, so no neighbour's page can set it."""
_SESSION = TokenKind(version=2, fields="16s16s", person=b"dtqs session", signature_bytes=32)
"""Key id and session id."""
_REMEMBERED_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Session:
    """A session, its API key, and its end in Unix time."""

    session_id: str
    key: ApiKey
    expires_at: int


class Sessions:
    """Begins, checks and ends sessions.

    `find` and `end` are the store's: find the key of a session that has not ended, and end a session.
    """

    def __init__(
        self,
        key: bytes,
        find: Callable[[str, str], ApiKey | None],
        end: Callable[[str, int], None],
        valid_seconds: float,
        is_secure: bool = False,
    ) -> None:
        """Set `is_secure` if every browser connects over TLS."""
        self._signer = Signer(key, _SESSION, valid_seconds)
        self._find, self._end, self._is_secure = find, end, is_secure
        self._remembered: dict[str, tuple[float, ApiKey | None]] = {}
        self._looks = SharedLookups[ApiKey | None]()

    def begin(self, key_id: str) -> tuple[str, int]:
        """Return a new session's cookie and its end."""
        return self._signer.sign(uuid.UUID(key_id).bytes, secrets.token_bytes(16))

    def is_secure(self, req: falcon.Request) -> bool:
        """Tell whether the browser came over TLS. A forged header only hides the sender's own cookie."""
        return self._is_secure or req.scheme == "https" or req.forwarded_scheme == "https"

    def has_cookie(self, req: falcon.Request) -> bool:
        """Tell whether the request has a session's cookie, good or not."""
        return cookie(req, self.cookie_name(req)) is not None

    def cookie_name(self, req: falcon.Request) -> str:
        return SECURE_COOKIE if self.is_secure(req) else COOKIE

    def of(self, req: falcon.Request) -> Session | None:
        """Return the session of a request. Raises StoreUnavailable.

        None without a cookie, and for a cookie that is forged or expired, has ended, or belongs to a revoked key.
        """
        try:
            expires_at, key_id, session_id = self._signer.open(cookie(req, self.cookie_name(req)) or "")
        except (TokenForged, TokenExpired):
            return None
        session = str(uuid.UUID(bytes=session_id))
        key = self._known(str(uuid.UUID(bytes=key_id)), session)
        return Session(session, key, expires_at) if key else None

    def end(self, req: falcon.Request) -> None:
        """End the session of a request, if it has one. Raises StoreUnavailable."""
        if session := self.of(req):
            self._end(session.session_id, session.expires_at)
            self._remembered[session.session_id] = (time.monotonic() + REMEMBERED_SECONDS, None)

    def _known(self, key_id: str, session_id: str) -> ApiKey | None:
        until, key = self._remembered.get(session_id, (0.0, None))
        if time.monotonic() < until:
            return key
        return self._looks.get((key_id, session_id), lambda: self._found(key_id, session_id))

    def _found(self, key_id: str, session_id: str) -> ApiKey | None:
        now = time.monotonic()
        key = self._find(key_id, session_id)
        if len(self._remembered) >= _REMEMBERED_LIMIT:
            self._remembered.clear()
        self._remembered[session_id] = (now + REMEMBERED_SECONDS, key)
        return key
