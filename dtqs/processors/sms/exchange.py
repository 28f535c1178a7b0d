"""One HTTP request and its reply, for the HTTP providers: when the request was sent, and how certain a failure is.

Requests use httpx's transport, which follows no redirect, uses no proxy from the environment and logs no URL.
"""

import codecs
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dtqs.bare_httpx import httpx
from dtqs.processors.sms.message import SmsNotTaken, SmsRefused, SmsUnsure, redacted
from dtqs.retry_after import retry_after

REPLY_BYTES = 64 << 10
_KEPT_SECONDS = 3.0
"""A connection is reused only within this time.

Servers close idle connections after 5 seconds or later, and such a close may coincide with the next request.
"""
NOT_TAKEN_CODES = frozenset({408, 425, 429, 500, 503})
"""Status codes that mean: the message was not accepted, but may be later."""
UNSURE_CODES = frozenset({502, 504, 520, 524, 598, 599})
"""Status codes from a proxy that lost the reply; large proxies use those above 511."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply. If it is incomplete, `text` is its beginning; the code already settles the request."""

    code: int
    text: str
    is_whole: bool
    retry_after_seconds: float


class Exchange:
    """An HTTP transport that is opened for the first request and keeps its connection for a moment."""

    def __init__(
        self, provider: str, connect_timeout_seconds: float, request_timeout_seconds: float, ca_file: Path | None
    ) -> None:
        self._provider, self._ca_file, self._limit_seconds = provider, ca_file, request_timeout_seconds
        self._connect_seconds = connect_timeout_seconds
        self._timeouts = httpx.Timeout(request_timeout_seconds, connect=connect_timeout_seconds).as_dict()
        self._transport: httpx.HTTPTransport | None = None

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        begins: Callable[[], None],
        secrets: Iterable[str] = (),
    ) -> Reply:
        """Send a request once; call `begins` after connecting, before the first byte leaves.

        Errors show none of the secrets. Raises SmsNotTaken, SmsUnsure, SmsRefused.
        """
        has_left = False

        def trace(event: str, _: object) -> None:
            nonlocal has_left
            if event.endswith(".send_request_headers.started"):
                begins()
            elif event.endswith(".send_request_headers.complete"):
                # without the end of its headers no server can act on a request
                has_left = True

        asked = httpx.Headers(dict(headers))
        asked["Accept-Encoding"] = "identity"  # a reply is read as it arrives, so it must not be compressed
        try:
            request = httpx.Request(
                method, url, headers=asked, content=body, extensions={"timeout": self._timeouts, "trace": trace}
            )
            reply = _read(self._opened().handle_request(request), time.monotonic() + self._limit_seconds)
        except httpx.InvalidURL as error:
            raise SmsRefused(self._provider, f"the URL is not valid: {error}") from error
        except httpx.TransportError as error:
            why = f"{request.url.host}: {redacted(str(error), secrets) or type(error).__name__}"
            if has_left:
                raise SmsUnsure(f"{self._provider} did not reply: {why}") from error
            raise SmsNotTaken(self._provider, f"no connection to {why}") from error
        except BaseException:
            # an interrupt may break the transport's bookkeeping, so the next request uses a new transport
            self.close()
            raise
        if reply.code >= 500:
            self.close()  # behind one name there may be several servers, and a new connection may reach another
        return reply

    def look(self, url: str) -> str:
        """Connect, with TLS for https:, send nothing, and return the address. Raises SmsNotTaken."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        context = self._context() if parts.scheme == "https" else None
        try:
            with socket.create_connection((host, port), self._connect_seconds) as connection:
                if context:
                    context.wrap_socket(connection, server_hostname=host).close()
        except (OSError, UnicodeError) as error:  # UnicodeError: no name that can be looked up
            raise SmsNotTaken(self._provider, f"no connection to {host}:{port}: {error}") from error
        return f"{host}:{port}"

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _opened(self) -> httpx.HTTPTransport:
        if self._transport is None:
            limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEPT_SECONDS)
            self._transport = httpx.HTTPTransport(verify=self._context(), limits=limits)
        return self._transport

    def _context(self) -> ssl.SSLContext:
        try:
            return (
                ssl.create_default_context(cafile=self._ca_file)
                if self._ca_file
                else httpx.create_ssl_context(trust_env=False)
            )
        except OSError as error:
            # a mount may be missing for a while, as with the mail server
            raise SmsNotTaken(self._provider, f"ca_file = {self._ca_file}: {error.strerror or error}") from error


def _read(response: httpx.Response, until: float) -> Reply:
    """Read the reply within limits of size and time: each byte that drips in restarts the transport's own timeout."""
    data, is_whole = b"", True
    try:
        for chunk in response.iter_raw():
            data += chunk
            if len(data) > REPLY_BYTES or time.monotonic() > until:
                is_whole = False
                break
    except httpx.TransportError:
        is_whole = False
    finally:
        response.close()
    text = _text(data[:REPLY_BYTES], response.charset_encoding, is_whole)
    return Reply(response.status_code, text, is_whole, retry_after(response.headers.get("retry-after", "")))


def _text(data: bytes, charset: str | None, is_whole: bool) -> str:
    """Decode a reply. With a wrong encoding, a repeated text would not be recognised and hidden."""
    for name in (_known(charset), "utf-8"):
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            continue
    return data.decode("cp1252" if is_whole else "utf-8", "replace")


def _known(charset: str | None) -> str:
    """Return the encoding of texts with this name, else UTF-8: Python knows others that take quadratic time."""
    try:
        name = codecs.lookup(charset or "utf-8").name
    except (LookupError, ValueError):
        return "utf-8"
    return name if name.startswith(("utf-", "iso8859-", "cp125")) else "utf-8"
