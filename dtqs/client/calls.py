"""The API's requests as calls: what may be said again is, for some seconds, and what the API refuses becomes an error of ours."""

import ipaddress
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import orjson
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from dtqs import __version__
from dtqs.client.errors import ApiUnavailable, check

READ_SECONDS = 60.0
CONNECT_SECONDS = 5.0
T = TypeVar("T")


def is_local(url: str) -> bool:
    """Tell whether a URL names this machine by a loopback address."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Calls:
    """Requests to one API server, as JSON. `origin` says in errors who named its URL. Threads may share it."""

    def __init__(self, url: str, key: str | None, origin: str, again_seconds: float) -> None:
        self.url = url
        self._origin, self._again_seconds = origin, again_seconds
        headers = {"User-Agent": f"dtqs/{__version__}"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._client = httpx.Client(
            base_url=url,
            headers=headers,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
            # a proxy cannot reach our loopback
            trust_env=not is_local(url),
        )

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Raises ApiRefusal, ApiUnavailable."""
        said = {name: value for name, value in (parameters or {}).items() if value is not None}
        return self.again(lambda: _json(self._client.get(path, params=said)))

    def post(self, path: str) -> Any:
        """Post without a body; for what may be said again. Raises ApiRefusal, ApiUnavailable."""
        return self.again(lambda: self.post_once(path))

    def post_once(self, path: str) -> Any:
        """For `again`: raises httpx.TransportError, ApiRefusal, ApiUnavailable."""
        return _json(self._client.post(path))

    def submit(self, body: object, idempotency_key: str) -> Any:
        """Submit one task or an array. Said again after a lost reply: the idempotency key makes that safe. Raises ApiRefusal, ApiUnavailable."""
        # not orjson: whole numbers beyond 64 bits are the API's to judge
        content = json.dumps(body, allow_nan=False).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        return self.again(lambda: _json(self._client.post("/submit", content=content, headers=headers)))

    def upload(self, name: str, media_type: str, size_bytes: int, pieces: Iterable[bytes]) -> Any:
        """Upload a file in pieces. Not said again. Raises ApiRefusal, ApiUnavailable."""
        headers = {"Content-Type": media_type, "Content-Length": str(size_bytes)}
        return self._once(lambda: _json(self._client.post("/files", params={"name": name}, content=pieces, headers=headers)))

    def download(self, file_id: str, read: Callable[[httpx.Response], T]) -> T:
        """Open a file and have it read, from its beginning again where the line breaks. Raises ApiRefusal, ApiUnavailable."""

        def call() -> T:
            with self._client.stream("GET", f"/files/{file_id}") as response:
                check(response)
                return read(response)

        return self.again(call)

    def stream(self, task_ids: Sequence[str], last_event_id: str) -> AbstractContextManager[httpx.Response]:
        """Open the events of tasks from behind an event id. Raises httpx.TransportError on entry."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        return self._client.stream("GET", "/sse", params=[("task_id", task_id) for task_id in task_ids], headers=headers)

    def again(self, call: Callable[[], T]) -> T:
        """Say it until it is answered, for some seconds. Raises ApiRefusal, ApiUnavailable."""
        retrying = Retrying(
            retry=retry_if_exception_type(ApiUnavailable),
            wait=wait_exponential_jitter(multiplier=0.1, max=1.0),
            stop=stop_after_delay(self._again_seconds),
            reraise=True,
        )
        result: T = retrying(self._once, call)
        return result

    def _once(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise ApiUnavailable(f"the API at {self.url} ({self._origin}) cannot be reached: {reason}") from error


def _json(response: httpx.Response) -> Any:
    check(response)
    try:
        return orjson.loads(response.content)
    except ValueError as error:
        raise ApiUnavailable(f"{response.request.url.copy_with(query=None)} answered {response.status_code} with something else than JSON") from error
