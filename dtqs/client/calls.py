"""HTTP calls to the API. Safe requests are retried for some seconds; refusals become the client's errors."""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import orjson

from dtqs import __version__
from dtqs.bare_httpx import httpx
from dtqs.client.again import Again
from dtqs.client.answers import EVENT_STREAM, check, is_stream, read_json, receipts
from dtqs.client.connections import Connections, HttpClient, open_http
from dtqs.client.errors import ApiRefusal, ApiUnavailable
from dtqs.client.submit_keys import submit_headers
from dtqs.client.urls import checked_url, has_login
from dtqs.client.values import StoredFile
from dtqs.deadline import Deadline
from dtqs.errors import ConfigError
from dtqs.shown_url import shown_url

if TYPE_CHECKING:
    from dtqs.client.gathering import Gathering

READ_SECONDS, WRITE_SECONDS = 8.0, 17.0
"""Time limits: of a reading request with all its retries, and of each try of a changing one.

The API itself waits 15 s for a hanging PostgreSQL before it reports it.
"""
PROBE_SECONDS = 3.0
PIECE_SECONDS = 60.0
"""Longest silence within a file or a stream."""
CONNECT_SECONDS = 5.0
LEAST_SECONDS, GRACE_SECONDS = 0.1, 1.0
"""Time limit of a try at the end of a wait, and the time for an answer that the API gives at that end."""
DEFAULT_URL = "http://127.0.0.1:8080"
URL, KEY = "DTQS_URL", "DTQS_API_KEY"
"""Environment variables."""
T = TypeVar("T")


def checked_key(key: str, name: str) -> str:
    """Check that a header can carry the key. Raises ConfigError, which does not contain the key."""
    if not (key.isascii() and key.isprintable()):
        raise ConfigError([f"{name}: allowed are printable ASCII characters, without a line break"])
    return key


def open_calls(url: str | None, api_key: str | None, origin: str, retry_seconds: float) -> "Calls":
    """Return the calls to this URL, or to the URL of the environment. Raises ConfigError."""
    if math.isnan(retry_seconds):
        raise ConfigError(["again_seconds = nan: allowed: a number of seconds, or math.inf for no limit"])
    named = os.environ.get(URL)
    # Send the key from the environment only to the URL from the environment, not to another server.
    key = api_key or (os.environ.get(KEY) if url in (None, named) else None)
    name, key_name = "the client's url" if url else URL, KEY if key == os.environ.get(KEY) else "the client's api_key"
    checked = checked_url(url or named or DEFAULT_URL, name)
    if key and has_login(checked):
        reason = f"user and password of a URL would replace the key ({key_name}) in each request; remove one of them"
        raise ConfigError([f"{name} = {shown_url(checked)!r}: {reason}"])
    return Calls(
        checked,
        checked_key(key, key_name) if key else None,
        origin or ("the client's url" if url else URL if named else "the default"),
        retry_seconds,
    )


class Calls:
    """Requests to one API server, as JSON. Errors name `origin` as the source of the URL. Threads may share it."""

    def __init__(self, url: str, key: str | None, origin: str, retry_seconds: float) -> None:
        self.url, self._shown = url, shown_url(url)
        self._origin, self._retry_seconds, self._keyless = origin, retry_seconds, not key
        headers = {"User-Agent": f"dtqs/{__version__}"} | ({"Authorization": f"Bearer {key}"} if key else {})
        # each wait and each stream of a thread holds a connection
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._connections = Connections(
            lambda: open_http(url, headers=headers, timeout=_within(PIECE_SECONDS), limits=limits)
        )

    @property
    def _client(self) -> HttpClient:
        return self._connections.own()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(
        self,
        path: str,
        read: Callable[[Any], T],
        parameters: Mapping[str, Any] | None = None,
        wait: Deadline | None = None,
    ) -> T:
        """Get JSON and pass it to `read`; leave out parameters without a value.

        Raises ApiRefusal, ApiUnavailable, and WaitOver at the end of a wait.
        """
        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        deadline = Deadline(max(READ_SECONDS, self._retry_seconds))
        return self.retried(
            lambda: read_json(
                self._client.get(path, params=given, timeout=_within(_left(_left(READ_SECONDS, deadline), wait))),
                read,
            ),
            wait,
        )

    def post(self, path: str, read: Callable[[Any], T]) -> T:
        """Post without a body, with retries. Raises ApiRefusal, ApiUnavailable."""
        return self.retried(lambda: self.post_once(path, read))

    def post_once(self, path: str, read: Callable[[Any], T]) -> T:
        """Post without a body; for `retried`. Raises httpx.RequestError, ApiRefusal, ApiUnavailable."""
        return read_json(self._client.post(path, timeout=_within(WRITE_SECONDS)), read)

    def submit(self, body: object, idempotency_key: str, wait: Deadline | None = None) -> Any:
        """Submit one task or an array. The idempotency key makes retries safe.

        Raises ApiRefusal, ApiUnavailable, and WaitOver at the end of a wait.
        """
        return self.submit_text(_text(body), idempotency_key, wait)

    def submit_text(self, content: bytes, idempotency_key: str, wait: Deadline | None = None) -> Any:
        """Submit JSON as text, like `submit`."""
        headers = submit_headers(idempotency_key)
        return self.retried(
            lambda: read_json(
                self._client.post(
                    "/submit", content=content, headers=headers, timeout=_within(_left(WRITE_SECONDS, wait))
                ),
                receipts,
            ),
            wait,
        )

    def gathering(self) -> "Gathering":
        """Return the sender of submits that share requests."""
        from dtqs.client.gathering import Gathering  # asyncio costs 0.1 s, and most clients do without it

        return Gathering(self.submit_text, self._retry_seconds + 2 * WRITE_SECONDS)

    def submit_and_wait(
        self, body: object, idempotency_key: str, seconds: int, read: Callable[[Any], T], wait: Deadline
    ) -> T:
        """Submit, and wait for the outcome in the same request. Raises ApiRefusal, ApiUnavailable, WaitOver.

        Retries do not wait: that may have used up their time.
        `read` gets the task, or the answer of `submit` when the time is over or if the API cannot wait.
        """
        content, headers = _text(body), submit_headers(idempotency_key) | {"Prefer": f"wait={seconds}"}
        limit = min(WRITE_SECONDS + seconds, wait.remaining + GRACE_SECONDS)
        try:
            return self._once(
                lambda: read_json(
                    self._client.post("/submit", content=content, headers=headers, timeout=_within(limit)), read
                ),
                wait,
            )
        except ApiUnavailable as error:
            Again(self._retry_seconds).pause_after(error, wait)
        return read(self.submit(body, idempotency_key, wait))

    def open_submit(self, body: object, idempotency_key: str, seconds: float) -> httpx.Response | dict[str, Any]:
        """Submit, and return the open stream of events, which the caller closes. An API that cannot follow: its JSON.

        The head of the answer comes within `seconds`. Raises httpx.RequestError, ApiRefusal, ApiUnavailable.
        """
        content, headers = _text(body), submit_headers(idempotency_key)
        headers |= {"Accept": f"{EVENT_STREAM}, application/json;q=0.5", "Cache-Control": "no-store"}
        request = self._client.build_request(
            "POST", "/submit", content=content, headers=headers, timeout=_within(seconds)
        )
        response = self._client.send(request, stream=True)
        try:
            check(response)
            if not is_stream(response):
                response.read()
                answer: dict[str, Any] = read_json(response, receipts)
                return answer
        except BaseException:
            response.close()
            raise
        # the limit of the answer's head is too short for the pauses of a stream
        request.extensions["timeout"]["read"] = PIECE_SECONDS
        return response

    def upload(self, name: str, media_type: str, size_bytes: int, pieces: Iterable[bytes]) -> StoredFile:
        """Upload a file in pieces, without retries. Raises ApiRefusal, ApiUnavailable."""
        headers = {"Content-Type": media_type, "Content-Length": str(size_bytes)}
        return self._once(
            lambda: read_json(
                self._client.post("/files", params={"name": name}, content=pieces, headers=headers), StoredFile.of
            )
        )

    def download(self, file_id: str, read: Callable[[httpx.Response], T]) -> T:
        """Pass a file's response to `read`, again after a lost connection. Raises ApiRefusal, ApiUnavailable."""

        def call() -> T:
            with self._client.stream("GET", f"/files/{file_id}") as response:
                check(response)
                return read(response)

        return self.retried(call)

    @contextmanager
    def stream(
        self, task_ids: Sequence[str], last_event_id: str, head_seconds: float, ticket: str = ""
    ) -> Iterator[httpx.Response]:
        """Open the stream of events after an event id, by a ticket or by the key. Its head comes within `head_seconds`.

        Raises httpx.RequestError on entry.
        """
        headers = {"Accept": EVENT_STREAM, "Cache-Control": "no-store"} | (
            {"Last-Event-ID": last_event_id} if last_event_id else {}
        )
        parameters = {"task_id": list(task_ids)} | ({"ticket": [ticket]} if ticket else {})
        request = self._client.build_request(
            "GET", "/sse", params=parameters, headers=headers, timeout=_within(head_seconds)
        )
        with closing(self._client.send(request, stream=True)) as response:
            request.extensions["timeout"]["read"] = PIECE_SECONDS
            try:
                yield response
            except ApiRefusal as error:
                self._refuse(error)

    def retried(self, call: Callable[[], T], wait: Deadline | None = None) -> T:
        """Retry a call for some seconds while the API is unavailable.

        Raises ApiRefusal, ApiUnavailable, and WaitOver at the end of a wait, if that comes first.
        """
        # Without tenacity: its import of asyncio takes a fifth of the time of a command.
        again = Again(self._retry_seconds)
        while True:
            try:
                return self._once(call, wait)
            except ApiUnavailable as error:
                again.pause_after(error, wait)

    def _once(self, call: Callable[[], T], wait: Deadline | None = None) -> T:
        try:
            return call()
        except httpx.ReadTimeout as error:
            raise ApiUnavailable(
                f"the API at {self._shown} ({self._origin}) does not answer{self._reason(wait)}"
            ) from error
        except httpx.RequestError as error:
            raise ApiUnavailable(
                f"the API at {self._shown} ({self._origin}) cannot be reached: {str(error) or type(error).__name__}"
            ) from error
        except ApiRefusal as error:
            self._refuse(error)

    def _reason(self, wait: Deadline | None) -> str:
        """Ask the API for the reason of a timeout: it waits for PostgreSQL longer than the client for the API."""
        limit = _left(PROBE_SECONDS, wait)
        try:
            state = orjson.loads(self._client.get("/readyz", timeout=_within(limit)).content)["postgresql"]["state"]
        except (httpx.RequestError, ValueError, KeyError, TypeError):
            return ""
        return "" if state == "connected" else ": PostgreSQL is away or does not respond"

    def _refuse(self, error: ApiRefusal) -> NoReturn:
        """Raise the refusal. The one of a request without a key says so."""
        if error.status != HTTPStatus.UNAUTHORIZED or not self._keyless:
            raise error
        hint = (
            f"{KEY} is for the server that {URL} names, so it is not sent to another one: pass api_key"
            if os.environ.get(KEY)
            else f"{KEY} is not set in the environment; `. client.env` sets it for the shell only: export it"
        )
        raise ApiRefusal(
            f"{error}\n  no key was sent to {self._shown} ({self._origin}): {hint}", error.status, error.problem
        ) from error


def _text(body: object) -> bytes:
    """Return the JSON of a submit. orjson would refuse integers beyond 64 bits; the API decides about them."""
    return json.dumps(body, allow_nan=False).encode()


def _left(seconds: float, wait: Deadline | None) -> float:
    """Return the time limit of a try within a wait."""
    return seconds if wait is None else min(seconds, max(LEAST_SECONDS, wait.remaining))


def _within(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS), pool=min(seconds, CONNECT_SECONDS))
