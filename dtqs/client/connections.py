"""The HTTP client below all calls: the authorities that it trusts, and the proxies of the environment."""

import os
import ssl
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from dtqs.bare_httpx import httpx
from dtqs.client.urls import is_local
from dtqs.errors import ConfigError

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_FILE, _FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"


class HttpClient(httpx.Client):
    """A client that says in its own words that it is closed."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        if self.is_closed:
            raise RuntimeError("the client is closed; make a new one")
        return super().send(request, **options)


class Connections:
    """The connections of this process. A fork of it opens others: on shared ones, each would get the other's answers.

    A fork leaves the inherited connections as they are, since they still serve its parent.
    """

    def __init__(self, opener: Callable[[], HttpClient]) -> None:
        self._opener, self._opened = opener, (os.getpid(), opener())
        self._inherited: list[HttpClient] = []
        self._locks: dict[int, threading.Lock] = {}
        """A lock for each process: a thread that the fork does not have may hold the parent's."""

    def own(self) -> HttpClient:
        """Return the HTTP client of the calling process."""
        process_id, client = self._opened
        return client if process_id == os.getpid() else self._open_anew()

    def _open_anew(self) -> HttpClient:
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            process_id, inherited = self._opened
            if process_id != os.getpid():
                client = self._opener()
                if inherited.is_closed:
                    client.close()
                self._inherited.append(inherited)
                self._opened = os.getpid(), client
            return self._opened[1]


def open_http(url: str, **options: Any) -> HttpClient:
    """Return a client for this URL. Raises ConfigError if the environment's proxies or certificates are of no use."""
    trust, proxied = trust_for(url), not is_local(url)  # a proxy cannot reach this machine's loopback
    try:
        if proxied:
            _check_proxy_hosts()
        return HttpClient(base_url=url, verify=trust, trust_env=proxied, **options)
    except ImportError as error:
        raise _useless("a SOCKS proxy needs another package: pip install 'httpx[socks]'") from error
    except (ValueError, httpx.InvalidURL) as error:
        words = "allowed is http://HOST:PORT, and for NO_PROXY a list of names and IPv4 addresses with commas"
        raise _useless(words) from error


def trust_for(url: str) -> ssl.SSLContext:
    """Return the TLS settings for a URL. Plain HTTP needs no authorities, and to read them takes 90 ms.

    Raises ConfigError.
    """
    if urlsplit(url).scheme != "https" and (is_local(url) or not getproxies()):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it trusts nobody
    file, folder = os.environ.get(_FILE) or None, os.environ.get(_FOLDER) or None
    try:
        if file or folder:
            return ssl.create_default_context(cafile=file, capath=folder)
        context = httpx.create_ssl_context(trust_env=False)  # certifi's authorities
        context.load_default_certs()
    except OSError as error:
        names = " and ".join(name for name in (_FILE, _FOLDER) if os.environ.get(name)) or "of this machine"
        raise ConfigError([f"the certificates ({names}) cannot be read: {error.strerror or error}"]) from error
    return context


def _check_proxy_hosts() -> None:
    """Raise ValueError for a host that the resolver would refuse at the first request."""
    proxies = getproxies()
    for proxy in filter(None, map(proxies.get, ("http", "https", "all"))):
        httpx.URL(proxy if "://" in proxy else f"http://{proxy}").raw_host.decode().encode("idna")


def _useless(words: str) -> ConfigError:
    """Return the error about the proxies. It names the variables alone: a value may hold a password."""
    names = ", ".join(sorted(name for name in os.environ if name.lower() in _PROXIES))
    return ConfigError([f"the environment's proxy ({names}) cannot be used: {words}"])
