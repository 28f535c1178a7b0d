"""Where a request of a browser comes from: what a cookie, or no key at all, is good for must not be done for other people's pages."""

import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit

import falcon

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_KNOWN_LIMIT = 64
_NOT_OURS = "without API keys ([api] auth = off) the Host must be a name of loopback (localhost, 127.0.0.1, [::1]) or the host of [api] public_url"


class OwnHosts:
    """By which names we may be called where no key is asked for: those of loopback, and the one of `public_url`.

    A page of evil.example whose name its owner has turned to 127.0.0.1 (DNS rebinding) is to the browser of our own site: it may read answers, and says
    `same-origin`. Only the name tells it, which no page can choose.
    """

    def __init__(self, public_url: str) -> None:
        self._public = _name(urlsplit(public_url).netloc)
        self._known: set[str] = set()

    def require(self, req: falcon.Request) -> None:
        """Raises HTTPForbidden. Who sends no Host at all is no browser."""
        host = req.env.get("HTTP_HOST")
        if host is None or host in self._known:
            return
        if not self._is_ours(host):
            raise falcon.HTTPForbidden(description=_NOT_OURS)
        if len(self._known) < _KNOWN_LIMIT:  # every port is another text
            self._known.add(host)

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        if not name:
            return False
        if name in ("localhost", self._public) or name.endswith(
            ".localhost"
        ):  # which is loopback's for ever (RFC 6761)
            return True
        with suppress(ValueError):
            return ipaddress.ip_address(name).is_loopback
        return False


def _name(host: str) -> str:
    """Return a Host's name without its port, as it is compared; empty for what is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def refuse_foreign(req: falcon.Request, is_browser: bool) -> None:
    """Refuse a change that another site's page asks for. `is_browser`: one that does not say where it comes from is refused too. Raises HTTPForbidden.

    Sec-Fetch-Site is the browser's own word, but only sent to https and loopback; Origin comes with every change that a browser of these years makes.
    """
    if req.method in SAFE_METHODS:
        return
    site, origin = req.get_header("Sec-Fetch-Site"), req.get_header("Origin")
    if site is not None:
        ours = site == "same-origin"
    elif origin is not None:
        ours = urlsplit(origin).netloc == req.get_header("Host")
    else:
        ours = not is_browser
    if not ours:
        raise falcon.HTTPForbidden(
            description="a page of another site must not do this; with an API key it can be done from anywhere"
        )
