"""Sends requests to S3-compatible object storage: signed, limited in time and size, and retried. s3.py makes them."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from xml.etree import ElementTree

import httpcore
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable
from dtqs.files.network import HTTP_FAULTS, header
from dtqs.files.sigv4 import EMPTY_SHA256, Credentials, Query, encoded_path, encoded_query, signed_headers
from dtqs.files.uri import parse_url

_PIECE_BYTES = 256 << 10
_ANSWER_BYTES = 8 << 20
_ATTEMPTS = 3
_CONNECTIONS, _IDLE_SECONDS = 20, 20.0
_PASSING = frozenset({"RequestTimeout", "SlowDown"})
T = TypeVar("T")


class S3Refused(Exception):
    """The object storage refused the request. `code` is its error code, such as NoSuchKey or AccessDenied."""

    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code
        super().__init__(f"the object storage answers {status} {code}".strip())


@dataclass(frozen=True, slots=True)
class FilePart:
    """A part of an open file as the body of a request. Each time it is sent, it is read again."""

    fd: int
    start: int
    size: int

    def __iter__(self) -> Iterator[bytes]:
        at, end = self.start, self.start + self.size
        while at < end:
            piece = os.pread(self.fd, min(_PIECE_BYTES, end - at), at)
            if not piece:
                raise FilesUnavailable("a file became shorter while it was being stored")
            at += len(piece)
            yield piece

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self:
            digest.update(piece)
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
        secret = section.s3_secret_key.get_secret_value() if section.s3_secret_key else ""
        self._credentials = Credentials(section.s3_access_key, secret, section.s3_region)
        self._endpoint = parse_url(section.s3_endpoint or f"https://s3.{section.s3_region}.amazonaws.com")
        self._path_style, self._limit_seconds = section.s3_path_style, section.s3_timeout_seconds
        self._pool: httpcore.ConnectionPool | None = None

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
        if request.part and response.status != 206:
            response.close()
            raise FilesUnavailable("the object storage sent the whole object instead of a part")
        return ObjectStream(response)

    def close(self) -> None:
        """Close the kept connections. Safe to call twice."""
        pool, self._pool = self._pool, None
        if pool:
            pool.close()

    def _send(self, request: Request) -> httpcore.Response:
        """Send once and return the response; the caller closes it."""
        try:
            response = self._connections().handle_request(self._made(request))
        except HTTP_FAULTS as error:
            raise _unreachable(error) from error
        if response.status >= 300:
            _raise(response)
        return response

    def _made(self, request: Request) -> httpcore.Request:
        before = "" if self._path_style else f"{request.bucket}."
        path = f"/{request.bucket}/{request.key}" if self._path_style else f"/{request.key}"
        host, body = f"{before}{self._endpoint.authority}", request.body
        signed = signed_headers(
            request.method, host, path, request.query, request.sha256, self._credentials, datetime.now(UTC)
        )
        headers = [*signed.items(), ("content-length", str(body.size if isinstance(body, FilePart) else len(body)))]
        headers += [("range", request.part)] if request.part else []
        target = encoded_path(path) + (f"?{encoded_query(request.query)}" if request.query else "")
        url = httpcore.URL(
            scheme=self._endpoint.scheme, host=f"{before}{self._endpoint.host}", port=self._endpoint.port, target=target
        )
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._limit_seconds)
        return httpcore.Request(request.method, url, headers=headers, content=body, extensions={"timeout": limits})

    def _connections(self) -> httpcore.ConnectionPool:
        if self._pool is None:
            context = httpcore.default_ssl_context() if self._endpoint.scheme == "https" else None
            self._pool = httpcore.ConnectionPool(context, max_connections=_CONNECTIONS, keepalive_expiry=_IDLE_SECONDS)
        return self._pool


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


def _with_retries(call: Callable[[], T]) -> T:
    """Call again after a moment if the storage is unavailable: an attempt's work is worth more than the wait."""
    wait = wait_exponential_jitter(multiplier=0.2, max=2.0, jitter=0.2)
    return Retrying(
        retry=retry_if_exception_type(FilesUnavailable), stop=stop_after_attempt(_ATTEMPTS), wait=wait, reraise=True
    )(call)


def _raise(response: httpcore.Response) -> None:
    """Raise S3Refused, or FilesUnavailable for a temporary fault."""
    code = ""
    try:
        with suppress(FilesUnavailable):
            code = text(_parse(_read(response)), "Code")
    finally:
        response.close()
    if response.status >= 500 or code in _PASSING:
        raise FilesUnavailable(f"the object storage answers {response.status} {code}".strip())
    raise S3Refused(response.status, code)


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
