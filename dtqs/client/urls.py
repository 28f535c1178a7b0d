"""URLs of the API: which are valid, and which need certificates."""

import ipaddress
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies

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


def trust_for(url: str) -> ssl.SSLContext | bool:
    """Return what `verify` of httpx gets for a URL. Plain HTTP needs no certificates, and to read them takes 90 ms."""
    if urlsplit(url).scheme == "https" or (not is_local(url) and getproxies()):
        return True
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it trusts nobody


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
