"""/session: log in with an API key, which sets a cookie that scripts cannot read; log out."""

import time

import falcon
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dtqs.api.access.auth import Auth
from dtqs.api.access.origin import refuse_foreign
from dtqs.api.access.sessions import Sessions
from dtqs.api.http.answer import answer
from dtqs.api.http.body import read_body, require_json
from dtqs.api.http.query import refuse_parameters
from dtqs.errors import Invalid, Problem

_BODY_LIMIT = 4096


class Login(BaseModel):
    """An API key for a new session."""

    model_config = ConfigDict(extra="forbid", strict=True)

    api_key: str = Field(min_length=1, max_length=1000, description="an API key's secret")


class SessionResource:
    """/session"""

    def __init__(self, auth: Auth, sessions: Sessions) -> None:
        self._auth, self._sessions = auth, sessions

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Return the session; without one, empty fields."""
        refuse_parameters(req)
        session = self._sessions.of(req) if self._auth.enabled else None
        scopes = list(session.key.scopes) if session else [] if self._auth.enabled else ["submit", "read", "admin"]
        name, expires_at = (session.key.name, session.expires_at) if session else (None, None)
        answer(resp, {"auth": self._auth.enabled, "key_name": name, "scopes": scopes, "expires_at": expires_at})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start a session."""
        refuse_parameters(req)
        refuse_foreign(req, is_browser=True)
        require_json(req)
        body = read_body(req, _BODY_LIMIT)
        key = self._auth.find(req, _secret(body))
        if key is None:
            raise falcon.HTTPForbidden(description="unknown or revoked API key")
        cookie, expires_at = self._sessions.begin(key.key_id)
        self._set(req, resp, cookie, expires_at)
        answer(resp, {"auth": True, "key_name": key.name, "scopes": list(key.scopes), "expires_at": expires_at})

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """End the session, also for copies of its cookie."""
        refuse_parameters(req)
        refuse_foreign(req, is_browser=True)
        self._sessions.end(req)
        self._set(req, resp, "", 0)
        resp.status = falcon.HTTP_204

    def _set(self, req: falcon.Request, resp: falcon.Response, cookie: str, expires_at: int) -> None:
        secure = "; Secure" if self._sessions.is_secure(req) else ""
        life = f"Max-Age={max(0, expires_at - int(time.time()))}" if cookie else "Max-Age=0"
        resp.append_header(
            "Set-Cookie",
            f"{self._sessions.cookie_name(req)}={cookie}; {life}; Path=/; HttpOnly; SameSite=Strict{secure}",
        )


def _secret(body: bytes) -> str:
    try:
        return Login.model_validate(orjson.loads(body)).api_key
    except orjson.JSONDecodeError as error:
        raise falcon.HTTPBadRequest(description=f"the body is not valid JSON: {error}"[:500]) from None
    except ValidationError:
        raise Invalid([Problem("api_key", "required: an object with the field api_key")]) from None
