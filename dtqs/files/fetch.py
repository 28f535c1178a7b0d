"""Fetches http: and https: sources: one GET with limits on bytes and time. guard.py checks each redirect's host."""

import ssl
from typing import BinaryIO

import httpcore

from dtqs.config import FilesSection
from dtqs.deadline import Deadline
from dtqs.errors import FilesUnavailable, InputRefused
from dtqs.files.guard import Guard
from dtqs.files.network import (
    HTTP_FAULTS,
    TRANSIENT_STATUSES,
    FetchTimeouts,
    GuardedNetwork,
    HostRefused,
    header,
)
from dtqs.files.pending import TooLarge, disk_faults
from dtqs.files.uri import Url, parse_url, redacted
from dtqs.retry_after import retry_after

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200
# a compressed body could expand to any size, so an uncompressed one is requested
_HEADERS = [("User-Agent", "dtqs"), ("Accept", "*/*"), ("Accept-Encoding", "identity"), ("Connection", "close")]


class Fetcher:
    def __init__(self, section: FilesSection, guard: Guard) -> None:
        self._section, self._guard = section, guard
        self._context: ssl.SSLContext | None = None

    def fetch(self, name: str, url: Url, into: BinaryIO) -> None:
        """Copy the body into an open file; messages call it `name`. Raises InputRefused, FilesUnavailable."""
        timeouts = FetchTimeouts(Deadline(self._section.fetch_timeout_seconds), self._section.fetch_silence_seconds)
        network, at = GuardedNetwork(self._guard, timeouts), name
        with httpcore.ConnectionPool(
            self._tls(), max_connections=1, max_keepalive_connections=0, network_backend=network
        ) as pool:
            for _ in range(self._section.fetch_max_redirects + 1):
                target = self._ask(pool, at, url, into, timeouts)
                if target is None:
                    return
                url, at = target, f"{name}, redirected to {redacted(target.text)}"
        raise InputRefused(at, f"redirects more than {self._section.fetch_max_redirects} times")

    def _ask(
        self, pool: httpcore.ConnectionPool, name: str, url: Url, into: BinaryIO, timeouts: FetchTimeouts
    ) -> Url | None:
        """Send one request: copy the body, or return the redirect's target. Raises InputRefused, FilesUnavailable."""
        try:
            if refusal := self._guard.refusal(url):
                raise HostRefused(refusal)
            with pool.stream("GET", _core(url), headers=[("Host", url.authority), *_HEADERS]) as response:
                if response.status in _REDIRECTS:
                    return _target(name, response, url)
                self._take(name, response, into)
        except HostRefused as error:
            raise InputRefused(name, str(error)) from error
        except HTTP_FAULTS as error:
            raise self._fault(name, error, timeouts) from error
        return None

    def _take(self, name: str, response: httpcore.Response, into: BinaryIO) -> None:
        """Copy the body of the final response, after checking status, encoding and length."""
        _check_status(name, response)
        encoding = header(response, b"content-encoding")
        if encoding.lower() not in ("", "identity"):
            raise InputRefused(name, f"its server sends a compressed body ({encoding[:40]}) although asked not to")
        limit, taken = self._section.fetch_max_bytes, 0
        length = header(response, b"content-length")
        if length.isdecimal() and int(length) > limit:
            raise TooLarge(name, limit)
        for piece in response.iter_stream():
            taken += len(piece)
            if taken > limit:
                raise TooLarge(name, limit)
            with disk_faults():
                into.write(piece)

    def _fault(self, name: str, error: Exception, timeouts: FetchTimeouts) -> FilesUnavailable | InputRefused:
        if fault := _certificate_fault(error):
            return InputRefused(name, f"the certificate of its host is not valid: {fault.verify_message}")
        if timeouts.deadline.passed:
            return FilesUnavailable(f"{name}: not fetched within {self._section.fetch_timeout_seconds:g} s")
        if isinstance(error, httpcore.TimeoutException):
            return FilesUnavailable(f"{name}: its server was silent for {self._section.fetch_silence_seconds:g} s")
        return FilesUnavailable(f"{name}: could not be fetched: {error or type(error).__name__}")

    def _tls(self) -> ssl.SSLContext:
        """Return the TLS context, made at the first fetch: it takes tens of milliseconds.

        It trusts the system's authorities and certifi's.
        """
        if self._context is None:
            self._context = httpcore.default_ssl_context()
        return self._context


def _core(url: Url) -> httpcore.URL:
    """Return the URL from its checked parts, since httpcore might split a text differently."""
    return httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)


def _target(name: str, response: httpcore.Response, url: Url) -> Url:
    """Return the target of a redirect. Raises InputRefused."""
    location = _location(response)
    if not location:
        raise InputRefused(name, f"its server answers {response.status} without a target")
    try:
        target = parse_url(location, url)
    except ValueError as error:
        raise InputRefused(name, f"redirects to {redacted(location)}, which is not fetched: {error}") from error
    if url.scheme == "https" and target.scheme != "https":
        raise InputRefused(name, f"redirects from https: to http: ({redacted(target.text)}), which is not followed")
    return target


def _location(response: httpcore.Response) -> str:
    raw = next((value for key, value in response.headers if key.lower() == b"location"), b"").strip()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        # a server whose paths are not UTF-8 expects its own bytes back
        return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in raw)


def _certificate_fault(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def _check_status(name: str, response: httpcore.Response) -> None:
    status = response.status
    if status >= 500 or status in TRANSIENT_STATUSES:
        wait = retry_after(header(response, b"retry-after"))
        raise FilesUnavailable(f"{name}: its server answers {status}", retry_after_seconds=wait)
    if status != _OK:
        raise InputRefused(name, f"its server answers {status}")
