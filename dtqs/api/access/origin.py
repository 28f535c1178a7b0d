"""The origin of a browser's request: pages of other sites must not use a user's cookie, or an API without keys."""

import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit

import falcon

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_KNOWN_LIMIT = 64
_NOT_OURS = (
    "without API keys ([api] auth = off) the Host must be a loopback name (localhost, 127.0.0.1, [::1])"
    " or the host of [api] public_url"
)


class OwnHosts:
    """The host names that an API without keys accepts: loopback names, and the host of `public_url`.

    With DNS rebinding, evil.example resolves to 127.0.0.1. The browser then treats its page as same-origin and lets it
    read answers. Only the Host header gives it away, because no page can choose it.
    """

    def __init__(self, public_url: str) -> None:
        self._public = _name(urlsplit(public_url).netloc)
        self._known: set[str] = set()

    def require(self, req: falcon.Request) -> None:
        """Raise HTTPForbidden for a foreign Host. Browsers always send one, so a request without it passes."""
        host = req.env.get("HTTP_HOST")
        if host is None or host in self._known:
            return
        if not self._is_ours(host):
            raise falcon.HTTPForbidden(description=_NOT_OURS)
        # each port makes another text, so the cache needs a limit
        if len(self._known) < _KNOWN_LIMIT:
            self._known.add(host)

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        if not name:
            return False
        # RFC 6761 reserves names below .localhost for loopback
        if name in ("localhost", self._public) or name.endswith(".localhost"):
            return True
        with suppress(ValueError):
            return ipaddress.ip_address(name).is_loopback
        return False


def _name(host: str) -> str:
    """Return the name in a Host header without its port; empty if it holds no name."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def refuse_foreign(req: falcon.Request, is_browser: bool) -> None:
    """Raise HTTPForbidden for a change that another site's page requests.

    With `is_browser`, a request that does not tell its origin is refused too. Browsers send Sec-Fetch-Site only to
    https and loopback. Current browsers send Origin with every change.
    """
    if req.method in SAFE_METHODS:
        return
    site, origin = req.get_header("Sec-Fetch-Site"), req.get_header("Origin")
    if site is not None:
        ours = site == "same-origin"
    elif origin is not None:
        ours = _is_of_host(origin, req.get_header("Host"))
    else:
        ours = not is_browser
    if not ours:
        how = "with a session" if is_browser else "without an API key"
        raise falcon.HTTPForbidden(description=f"a page of another site may not do this {how}; use an API key")


def _is_of_host(origin: str, host: str | None) -> bool:
    """Tell whether an Origin header names this host. `http://[` is no URL, and so no origin of ours."""
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False
