"""Sends requests to S3-compatible object storage: signed, limited in time and size, and retried. s3.py makes them."""

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote
from xml.etree import ElementTree

import httpcore
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable
from dtqs.files.network import HTTP_FAULTS, TRANSIENT_STATUSES, header
from dtqs.files.uri import parse_url
from dtqs.retry_after import retry_after

if TYPE_CHECKING:
    from dtqs.files.s3_signing import RequestSigner

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_PIECE_BYTES = 256 << 10
_ANSWER_BYTES = 8 << 20
_ATTEMPTS = 3
_CONNECTIONS, _IDLE_SECONDS = 20, 20.0
_ENDED = frozenset({"ExpiredToken", "TokenRefreshRequired"})
_PASSING = _ENDED | {"OperationAborted", "RequestTimeout", "RequestTimeTooSkewed", "SlowDown", "TemporaryRedirect"}
_TOO_MANY = re.compile("TooManyRequests|RequestLimitExceeded|(Request)?Throttl(ing|ed).*")
_LONGEST_WAIT_SECONDS = 2.0
_BACKOFF = wait_exponential_jitter(multiplier=0.2, max=_LONGEST_WAIT_SECONDS, jitter=0.2)
Query = Sequence[tuple[str, str]]
T = TypeVar("T")


class S3Refused(Exception):
    """The object storage refused the request. `code` is its error code, such as NoSuchKey or AccessDenied."""

    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code
        super().__init__(f"the object storage answers {status} {code}".strip())


class Stopped(Exception):
    """The upload that a part belongs to has failed."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """A part of an open file as the body of a request. Each time it is sent, it is read again.

    Reading raises Stopped once `stop` is set.
    """

    fd: int
    start: int
    size: int
    stop: threading.Event | None = None

    def __iter__(self) -> Iterator[bytes]:
        at, end = self.start, self.start + self.size
        while at < end:
            if self.stop and self.stop.is_set():
                raise Stopped
            piece = os.pread(self.fd, min(_PIECE_BYTES, end - at), at)
            if not piece:
                raise FilesUnavailable("a file became shorter while it was being stored")
            at += len(piece)
            yield piece

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self:
            digest.update(piece)
            time.sleep(0)  # in the API others get a turn: a large part takes longer than any of them may wait
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `part` is the value of a Range header."""

    method: str
    bucket: str
    key: str = ""
    query: Query = ()
    body: bytes | FilePart = b""
    sha256: str = EMPTY_SHA256
    part: str = ""


class S3Wire:
    """The HTTP side, opened at the first request. One per process serves any number of threads or greenlets."""

    def __init__(self, section: FilesSection) -> None:
        self._signer = _signer(section) if section.uses_s3 else None
        self._endpoint = parse_url(section.s3_endpoint or f"https://s3.{section.s3_region}.amazonaws.com")
        self._path_style, self._limit_seconds = section.s3_path_style, section.s3_timeout_seconds
        self._pool: httpcore.ConnectionPool | None = None
        self._readers: httpcore.ConnectionPool | None = None

    def ask(self, request: Request) -> tuple[ElementTree.Element, str]:
        """Send a request with a short answer; return its XML and its ETag. Raises S3Refused, FilesUnavailable."""

        def ask() -> tuple[ElementTree.Element, str]:
            response = self._send(request)
            try:
                return _parse(_read(response)), header(response, b"etag")
            finally:
                response.close()

        return _with_retries(ask)

    def open(self, request: Request) -> "ObjectStream":
        """Send a request for an object. Raises S3Refused, FilesUnavailable."""
        response = _with_retries(lambda: self._send(request))
        if request.part and response.status != 206 and not is_whole(request.part, header(response, b"content-length")):
            response.close()
            raise FilesUnavailable("the object storage sent the whole object instead of a part")
        return ObjectStream(response)

    def close(self) -> None:
        """Close the kept connections. Safe to call twice."""
        pools, self._pool, self._readers = (self._pool, self._readers), None, None
        for pool in pools:
            if pool:
                pool.close()

    def _send(self, request: Request) -> httpcore.Response:
        """Send once and return the response; the caller closes it."""
        try:
            response = self._connections(request).handle_request(self._made(request))
        except HTTP_FAULTS as error:
            raise _unreachable(error) from error
        if response.status >= 300:
            self._raise(response)
        return response

    def _made(self, request: Request) -> httpcore.Request:
        assert self._signer
        before = "" if self._path_style else f"{request.bucket}."
        path = f"/{request.bucket}/{request.key}" if self._path_style else f"/{request.key}"
        authority, body = f"{before}{self._endpoint.authority}", request.body
        target = _encoded_target(path, request.query)
        headers = {"host": authority} | ({"range": request.part} if request.part else {})
        address = f"{self._endpoint.scheme}://{authority}{target}"
        signed = self._signer.signed(request.method, address, headers, request.sha256)
        signed.append(("content-length", str(body.size if isinstance(body, FilePart) else len(body))))
        url = httpcore.URL(
            scheme=self._endpoint.scheme, host=f"{before}{self._endpoint.host}", port=self._endpoint.port, target=target
        )
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._limit_seconds)
        return httpcore.Request(request.method, url, headers=signed, content=body, extensions={"timeout": limits})

    def _raise(self, response: httpcore.Response) -> None:
        """Raise S3Refused, or FilesUnavailable for a temporary fault."""
        code = ""
        try:
            with suppress(FilesUnavailable):
                code = text(_parse(_read(response)), "Code")
        finally:
            response.close()
        if code in _ENDED and self._signer:
            self._signer.forget()
        if _is_passing(response.status, code):
            raise FilesUnavailable(
                f"the object storage answers {response.status} {code}".strip(),
                retry_after_seconds=retry_after(header(response, b"retry-after")),
            )
        raise S3Refused(response.status, code)

    def _connections(self, request: Request) -> httpcore.ConnectionPool:
        """Return the connections for a request. Readers of objects have their own, without a limit.

        Each lasts as long as a slow client reads, and `[api] max_connections` bounds them.
        """
        if request.method == "GET" and request.key:
            self._readers = self._readers or self._made_pool(None)
            return self._readers
        self._pool = self._pool or self._made_pool(_CONNECTIONS)
        return self._pool

    def _made_pool(self, most: int | None) -> httpcore.ConnectionPool:
        context = httpcore.default_ssl_context() if self._endpoint.scheme == "https" else None
        return httpcore.ConnectionPool(
            context,
            max_connections=most,
            max_keepalive_connections=_CONNECTIONS,
            keepalive_expiry=_IDLE_SECONDS,
        )


def is_whole(part: str, length: str) -> bool:
    """Tell whether a range covers a whole object of this length: some servers then answer 200."""
    first, _, last = part.removeprefix("bytes=").partition("-")
    return first == "0" and (not last or (length.isdecimal() and int(length) <= int(last) + 1))


class ObjectStream:
    """The bytes of an object as they arrive; the caller closes it."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response
        self._pieces = response.iter_stream()

    @property
    def size_bytes(self) -> int | None:
        """The announced number of bytes, if there is one."""
        length = header(self._response, b"content-length")
        return int(length) if length.isdecimal() else None

    def read(self) -> bytes:
        """Return the next bytes, empty at the end. Raises FilesUnavailable."""
        try:
            return next((piece for piece in self._pieces if piece), b"")
        except HTTP_FAULTS as error:
            raise _unreachable(error) from error

    def close(self) -> None:
        self._response.close()


def _signer(section: FilesSection) -> "RequestSigner":
    # botocore is an extra, and workers without object storage do not carry it
    from dtqs.files.s3_signing import RequestSigner

    return RequestSigner(section)


def _encoded_target(path: str, query: Query) -> str:
    """Return path and query as they are sent and signed, with all bytes encoded except the unreserved ones."""
    pairs = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query))
    return quote(path, safe="/~") + (f"?{pairs}" if pairs else "")


def _with_retries(call: Callable[[], T]) -> T:
    """Call again after a moment if the storage is unavailable: an attempt's work is worth more than the wait.

    If the storage asks for a longer wait (Retry-After), the error reaches the caller at once.
    """
    return Retrying(retry=retry_if_exception(_is_soon), stop=stop_after_attempt(_ATTEMPTS), wait=_moment, reraise=True)(
        call
    )


def _is_soon(error: BaseException) -> bool:
    return isinstance(error, FilesUnavailable) and error.retry_after_seconds <= _LONGEST_WAIT_SECONDS


def _moment(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, FilesUnavailable) else 0.0
    return max(asked, _BACKOFF(state))


def _is_passing(status: int, code: str) -> bool:
    """Tell whether a later request may succeed."""
    is_transient = status >= 500 or status in TRANSIENT_STATUSES
    return is_transient or code in _PASSING or _TOO_MANY.fullmatch(code) is not None


def _read(response: httpcore.Response) -> bytes:
    body = bytearray()
    try:
        for piece in response.iter_stream():
            body += piece
            if len(body) > _ANSWER_BYTES:
                raise FilesUnavailable("the object storage's answer is too long")
    except HTTP_FAULTS as error:
        raise _unreachable(error) from error
    return bytes(body)


def _unreachable(error: Exception) -> FilesUnavailable:
    return FilesUnavailable(f"the object storage could not be reached: {error or type(error).__name__}")


def _parse(body: bytes) -> ElementTree.Element:
    """Return an answer as XML; an empty answer is allowed, other text raises FilesUnavailable."""
    try:
        return ElementTree.fromstring(body) if body.strip() else ElementTree.Element("Nothing")
    except ElementTree.ParseError as error:
        raise FilesUnavailable(f"the object storage's answer is not XML: {error}") from error


def name(element: ElementTree.Element) -> str:
    """Return an element's name without its namespace, which some storages omit."""
    return element.tag.rpartition("}")[2]


def text(answer: ElementTree.Element, wanted: str) -> str:
    """Return the text of the first element with this name."""
    return next((each.text or "" for each in answer.iter() if name(each) == wanted), "")
