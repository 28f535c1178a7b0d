"""Fetches http: and https: sources: one GET, redirects judged anew, a bound on bytes and time. Where it may go, guard.py says."""

import ssl
from typing import BinaryIO

import httpcore

from dtqs.deadline import Deadline
from dtqs.errors import FilesUnavailable, InputRefused
from dtqs.files.guard import Guard
from dtqs.files.network import GuardedNetwork, HostRefused, Patience
from dtqs.files.pending import TooLarge, disk_faults
from dtqs.files.uri import Url, parse_url
from dtqs.settings import FilesSection

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200
_TRANSIENT = frozenset({408, 425, 429})
_FAULTS = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
# what is packed could unpack to anything, so it is asked for as it is
_HEADERS = [("User-Agent", "dtqs"), ("Accept", "*/*"), ("Accept-Encoding", "identity"), ("Connection", "close")]


class Fetcher:
    def __init__(self, section: FilesSection, guard: Guard) -> None:
        self._section, self._guard = section, guard
        self._context: ssl.SSLContext | None = None

    def fetch(self, uri: str, into: BinaryIO) -> None:
        """Write the body into an open file. Raises InputRefused, FilesUnavailable."""
        patience = Patience(Deadline(self._section.fetch_timeout_seconds), self._section.fetch_silence_seconds)
        try:
            self._follow(uri, into, patience)
        except HostRefused as error:
            raise InputRefused(uri, str(error)) from error
        except _FAULTS as error:
            raise self._worded(uri, error, patience) from error

    def _follow(self, uri: str, into: BinaryIO, patience: Patience) -> None:
        url = parse_url(uri)
        network = GuardedNetwork(self._guard, patience)
        with httpcore.ConnectionPool(self._tls(), max_connections=1, max_keepalive_connections=0, network_backend=network) as pool:
            for _ in range(self._section.fetch_max_redirects + 1):
                if refusal := self._guard.refusal(url):
                    raise HostRefused(refusal)
                with pool.stream("GET", _core(url), headers=[("Host", url.authority), *_HEADERS]) as response:
                    if response.status not in _REDIRECTS:
                        self._take(uri, response, into)
                        return
                    url = _target(uri, response, url)
        raise InputRefused(uri, f"redirects more than {self._section.fetch_max_redirects} times")

    def _take(self, uri: str, response: httpcore.Response, into: BinaryIO) -> None:
        """Write the body of a last answer, if it is one that has the file."""
        _check_status(uri, response)
        encoding = _header(response, b"content-encoding")
        if encoding.lower() not in ("", "identity"):
            raise InputRefused(uri, f"its server sends it packed ({encoding[:40]}), though asked not to")
        limit, taken = self._section.fetch_max_bytes, 0
        length = _header(response, b"content-length")
        if length.isdecimal() and int(length) > limit:
            raise TooLarge(uri, limit)
        for piece in response.iter_stream():
            taken += len(piece)
            if taken > limit:
                raise TooLarge(uri, limit)
            with disk_faults():
                into.write(piece)

    def _worded(self, uri: str, error: Exception, patience: Patience) -> FilesUnavailable | InputRefused:
        if fault := _certificate_fault(error):
            return InputRefused(uri, f"the certificate of its host is not valid: {fault.verify_message}")
        if patience.deadline.passed:
            return FilesUnavailable(f"{uri}: could not be fetched within {self._section.fetch_timeout_seconds:g} s")
        if isinstance(error, httpcore.TimeoutException):
            return FilesUnavailable(f"{uri}: its server was silent for {self._section.fetch_silence_seconds:g} s")
        return FilesUnavailable(f"{uri}: could not be fetched: {error or type(error).__name__}")

    def _tls(self) -> ssl.SSLContext:
        """Made at the first fetch, since it takes some tens of milliseconds; trusts the system's authorities and those of certifi."""
        if self._context is None:
            self._context = httpcore.default_ssl_context()
        return self._context


def _core(url: Url) -> httpcore.URL:
    """The parts as they were judged: not a text that httpcore might take apart otherwise."""
    return httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)


def _target(uri: str, response: httpcore.Response, url: Url) -> Url:
    """Return where a redirect leads. Raises InputRefused."""
    try:
        target = parse_url(_header(response, b"location"), url)
    except ValueError as error:
        raise InputRefused(uri, f"redirects to what is not fetched: {error}") from error
    if url.scheme == "https" and target.scheme != "https":
        raise InputRefused(uri, "redirects from https: to http:, which is not followed")
    return target


def _certificate_fault(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def _check_status(uri: str, response: httpcore.Response) -> None:
    status = response.status
    if status >= 500 or status in _TRANSIENT:
        wait = _header(response, b"retry-after")
        raise FilesUnavailable(f"{uri}: its server answers {status}", retry_after_seconds=float(wait) if wait.isdecimal() else 0.0)
    if status != _OK:
        raise InputRefused(uri, f"its server answers {status}")


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("utf-8", "replace") for key, value in response.headers if key.lower() == name), "").strip()
