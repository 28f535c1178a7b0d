"""Authentication: an API key (`Authorization: Bearer KEY`) or the session of a browser.

A key is looked up by its hash, and remembered for some seconds.
"""

import hashlib
import ipaddress
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import falcon

from dtqs.api.access.origin import OwnHosts, refuse_foreign
from dtqs.api.access.sessions import Sessions
from dtqs.api.access.shared_lookups import SharedLookups
from dtqs.api.access.throttle import Throttle, address_of
from dtqs.api.http.body import HOLDER
from dtqs.store.api_keys import NO_CEILINGS, REMEMBERED_SECONDS, ApiKey, Ceilings
from dtqs.store.driver.lending import BORROWER

logger = logging.getLogger(__name__)
_REMEMBERED_LIMIT = 4096
_NOBODY = "00000000-0000-0000-0000-000000000000"
_NOT_REMEMBERED: tuple[float, ApiKey | None] = (0.0, None)
_CHALLENGE = 'Bearer realm="dtqs"'


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request: an API key, or anybody with auth off.

    `owner` is the key whose tasks and files the caller sees. An admin has none and sees all. Most have no `ceilings`.
    """

    key_id: str | None
    owner: str | None
    scopes: frozenset[str]
    ceilings: Ceilings | None = None

    @property
    def name_space(self) -> str:
        """The owner of the caller's idempotency keys."""
        return self.key_id or _NOBODY


_ANYBODY = Caller(None, None, frozenset(("submit", "read", "admin")))


class Auth:
    """Authenticates requests.

    `find` is the store's look-up of a secret. `hosts` checks requests if auth is not `enabled`. `proxies` are addresses
    and networks of trusted proxies. `may_write` runs before each request that writes, with the caller's `name_space`,
    and raises to refuse it.
    """

    def __init__(
        self, find: Callable[[str], ApiKey | None], sessions: Sessions, hosts: OwnHosts, enabled: bool,
        proxies: Iterable[str] = (),
        may_write: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._find, self._sessions, self._hosts = find, sessions, hosts
        self.enabled, self._may_write = enabled, may_write
        self._remembered: dict[bytes, tuple[float, ApiKey | None]] = {}
        self._good: dict[bytes, None] = {}
        self._looks = SharedLookups[ApiKey | None]()
        self._throttle = Throttle()
        self._proxies = tuple(ipaddress.ip_network(each) for each in proxies)
        self._has_noted = False

    def require(self, req: falcon.Request, scope: str) -> Caller:
        """Return the caller.

        Raises HTTPUnauthorized (no key, or an unknown one), HTTPForbidden (lacks the scope; another site's page),
        TooManyRequests, StoreUnavailable, and the errors of `may_write`.
        """
        caller = self._known(req, scope) if self.enabled else self._anybody(req)
        req.env[HOLDER] = caller.name_space
        BORROWER.set(caller.name_space)
        if scope == "submit":
            self._may_write(caller.name_space)
        return caller

    def _anybody(self, req: falcon.Request) -> Caller:
        self._hosts.require(req)
        refuse_foreign(req, is_browser=False)
        return _ANYBODY

    def _known(self, req: falcon.Request, scope: str) -> Caller:
        authorization = req.env.get("HTTP_AUTHORIZATION")
        has_session = authorization is None and self._sessions.has_cookie(req)
        caller = self._of_session(req) if has_session else self._of_key(req, authorization or "")
        if scope not in caller.scopes and "admin" not in caller.scopes:
            raise falcon.HTTPForbidden(description=lacking(scope, caller.scopes))
        return caller

    def find(self, req: falcon.Request, secret: str) -> ApiKey | None:
        """Return the key with this secret, or None.

        Raises TooManyRequests if this address has sent too many unknown keys, StoreUnavailable.
        """
        digest = hashlib.sha256(secret.encode("latin-1", "replace")).digest()
        expires_at, key = self._remembered.get(digest, _NOT_REMEMBERED)
        return key if time.monotonic() < expires_at else self._look_up(req, secret, digest)

    def _look_up(self, req: falcon.Request, secret: str, digest: bytes) -> ApiKey | None:
        address = address_of(req, self._proxies, lambda: self._note_unreadable(req))
        # others behind the same proxy may guess keys: that must not lock out the holder of a good key
        if digest in self._good:
            return self._looks.get(digest, lambda: self._found(secret, digest, address))
        with self._throttle.turn(address):
            expires_at, key = self._remembered.get(digest, _NOT_REMEMBERED)
            # another request with this key may have looked it up during the wait
            return key if time.monotonic() < expires_at else self._found(secret, digest, address)

    def _note_unreadable(self, req: falcon.Request) -> None:
        """Log it once: all callers behind that proxy share one address, and so one limit of unknown keys."""
        if not self._has_noted:
            self._has_noted = True
            logger.warning(
                "the last entry of X-Forwarded-For is no address: the callers of this proxy count as one",
                extra={"proxy": req.env.get("REMOTE_ADDR") or "a socket"},
            )

    def _found(self, secret: str, digest: bytes, address: str) -> ApiKey | None:
        now = time.monotonic()
        key = self._find(secret)
        for known in (self._remembered, self._good):
            # a flood of invented keys must not fill the memory
            if len(known) >= _REMEMBERED_LIMIT:
                known.clear()
        self._remembered[digest] = (now + REMEMBERED_SECONDS, key)
        if key is None:
            self._good.pop(digest, None)
            self._throttle.failed(address)
        else:
            self._good[digest] = None
        return key

    def _of_key(self, req: falcon.Request, authorization: str) -> Caller:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise falcon.HTTPUnauthorized(
                description="an API key is needed: Authorization: Bearer KEY", challenges=[_CHALLENGE]
            )
        caller = _caller_of(self.find(req, secret.strip()))
        if caller is None:
            raise falcon.HTTPUnauthorized(
                description="the API key is unknown or revoked", challenges=[f'{_CHALLENGE}, error="invalid_token"']
            )
        return caller

    def _of_session(self, req: falcon.Request) -> Caller:
        session = self._sessions.of(req)
        caller = _caller_of(session.key if session else None)
        if caller is None:
            raise falcon.HTTPUnauthorized(
                description="the session has ended, or its API key was revoked: log in again", challenges=[_CHALLENGE]
            )
        refuse_foreign(req, is_browser=True)
        return caller


def lacking(scope: str, scopes: Iterable[str]) -> str:
    """Return the message for a key that lacks a scope."""
    owned = ", ".join(sorted(scopes))
    return f"this key lacks scope `{scope}` (it has: {owned}); create one with `dtqs key create NAME --scope {scope}`"


def _caller_of(key: ApiKey | None) -> Caller | None:
    if key is None:
        return None
    return Caller(
        key.key_id,
        None if "admin" in key.scopes else key.key_id,
        frozenset(key.scopes),
        None if key.ceilings is NO_CEILINGS else key.ceilings,
    )
