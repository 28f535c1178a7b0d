"""URLs of the API: which are valid, which name this machine, and which hold a login."""

import ipaddress
from urllib.parse import urlsplit

from dtqs.bare_httpx import httpx
from dtqs.errors import ConfigError
from dtqs.shown_url import shown_url


def is_local(url: str) -> bool:
    """Return whether a URL names a loopback address."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_url(url: str, name: str) -> str:
    """Return a URL without its trailing slash. Raises ConfigError, which names the source of the URL."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        # the checks of httpx, and of the resolver's own form of the name: both would fail at the first request
        found = httpx.URL(url)
        valid = valid and bool(found.host and found.raw_host.decode().encode("idna"))
    except (ValueError, httpx.InvalidURL):
        valid = False
    if not valid:
        raise ConfigError([f"{name} = {shown_url(url)!r}: allowed: http://HOST:PORT or https://HOST"])
    return url.rstrip("/")


def has_login(url: str) -> bool:
    """Return whether a valid URL has a user or a password."""
    parts = httpx.URL(url)
    return bool(parts.username or parts.password)
