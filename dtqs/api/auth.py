"""Who calls, and what the key allows: `Authorization: Bearer KEY`, looked up by its hash and remembered for some seconds."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import falcon

from dtqs.store.api_keys import REMEMBERED_SECONDS, ApiKey

_REMEMBERED_LIMIT = 4096
_NOBODY = "00000000-0000-0000-0000-000000000000"
_CHALLENGE = 'Bearer realm="dtqs"'


@dataclass(frozen=True, slots=True)
class Caller:
    """A key's holder, or anybody where auth is off. `owner` is the key whose tasks and files it sees; None: everybody's."""

    key_id: str | None
    owner: str | None
    scopes: frozenset[str]

    @property
    def name_space(self) -> str:
        """Whose idempotency keys these are."""
        return self.key_id or _NOBODY


_ANYBODY = Caller(None, None, frozenset(("submit", "read", "admin")))


class Auth:
    """Judges requests. `find` is the store's look-up of a secret."""

    def __init__(self, find: Callable[[str], ApiKey | None], enabled: bool) -> None:
        self._find, self.enabled = find, enabled
        self._remembered: dict[bytes, tuple[float, Caller | None]] = {}

    def require(self, req: falcon.Request, scope: str) -> Caller:
        """Return the caller. Raises HTTPUnauthorized (no key, or none of ours), HTTPForbidden (not its scope), StoreUnavailable."""
        if not self.enabled:
            return _ANYBODY
        scheme, _, secret = req.env.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise falcon.HTTPUnauthorized(description="an API key is needed: Authorization: Bearer KEY", challenges=[_CHALLENGE])
        caller = self._caller(secret.strip())
        if caller is None:
            raise falcon.HTTPUnauthorized(description="no such API key, or it was revoked", challenges=[f'{_CHALLENGE}, error="invalid_token"'])
        if scope not in caller.scopes and "admin" not in caller.scopes:
            raise falcon.HTTPForbidden(description=f"this API key has not the scope {scope}, but: {', '.join(sorted(caller.scopes))}")
        return caller

    def _caller(self, secret: str) -> Caller | None:
        digest, now = hashlib.sha256(secret.encode("latin-1", "replace")).digest(), time.monotonic()
        expires_at, caller = self._remembered.get(digest, (0.0, None))
        if now < expires_at:
            return caller
        caller = _caller_of(self._find(secret))
        if len(self._remembered) >= _REMEMBERED_LIMIT:  # a flood of invented keys must not fill the memory
            self._remembered.clear()
        self._remembered[digest] = (now + REMEMBERED_SECONDS, caller)
        return caller


def _caller_of(key: ApiKey | None) -> Caller | None:
    if key is None:
        return None
    return Caller(key.key_id, None if "admin" in key.scopes else key.key_id, frozenset(key.scopes))
