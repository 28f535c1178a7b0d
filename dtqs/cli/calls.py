"""The API's requests as calls: what may be said again is, for some seconds, and what the API refuses becomes an error of ours."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import httpx
import orjson
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from dtqs import __version__
from dtqs.cli.endpoint import Endpoint, is_local
from dtqs.cli.refusal import ApiRefusal, ApiUnavailable, check
from dtqs.task import Status

AGAIN_SECONDS = 4.0
"""How long a request is said again while the API cannot be reached."""
READ_SECONDS = 60.0
CHUNK_BYTES = 256 << 10
T = TypeVar("T")


class Api:
    """One API server; a context manager that closes its connections."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        headers = {"User-Agent": f"dtqs/{__version__}"} | ({"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {})
        self._client = httpx.Client(
            base_url=endpoint.url,
            headers=headers,
            timeout=httpx.Timeout(READ_SECONDS, connect=5.0, pool=5.0),
            # a proxy cannot reach our loopback
            trust_env=not is_local(endpoint.url),
        )

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def submit(self, task: dict[str, Any], idempotency_key: str) -> Any:
        """Submit a task. Said again after a lost reply: the idempotency key makes that safe. Raises ApiRefusal, ApiUnavailable."""
        # not orjson: whole numbers beyond 64 bits are the API's to judge
        content = json.dumps(task, allow_nan=False).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        return self._again(lambda: self._json(self._client.post("/submit", content=content, headers=headers)))

    def get(self, path: str, parameters: dict[str, Any] | None = None) -> Any:
        """Raises ApiRefusal, ApiUnavailable."""
        return self._again(lambda: self._json(self._client.get(path, params={k: v for k, v in (parameters or {}).items() if v is not None})))

    def post(self, path: str) -> Any:
        """Post without a body; for what may be said again. Raises ApiRefusal, ApiUnavailable."""
        return self._again(lambda: self._json(self._client.post(path)))

    def cancel(self, task_id: str) -> Any:
        """Cancel a task. Said again after a lost reply: a task that is then found cancelled is our doing. Raises ApiRefusal, ApiUnavailable."""
        said = 0

        def call() -> Any:
            nonlocal said
            said += 1
            return self._json(self._client.post(f"/tasks/{task_id}/cancel"))

        try:
            return self._again(call)
        except ApiRefusal as error:
            if said == 1 or error.status != HTTPStatus.CONFLICT:
                raise
            record = self.get(f"/tasks/{task_id}")
            if record["status"] != Status.CANCELLED:
                raise
            return record

    def upload(self, path: Path, media_type: str, sent: Callable[[int], None]) -> Any:
        """Upload a file in pieces; `sent` is told the size of each. Not said again. Raises ApiRefusal, ApiUnavailable, OSError."""
        headers = {"Content-Type": media_type, "Content-Length": str(path.stat().st_size)}

        def pieces() -> Iterator[bytes]:
            with path.open("rb") as file:
                while piece := file.read(CHUNK_BYTES):
                    yield piece
                    sent(len(piece))

        return self._once(lambda: self._json(self._client.post("/files", params={"name": path.name}, content=pieces(), headers=headers)))

    def stream(self, task_ids: Sequence[str], last_event_id: str) -> AbstractContextManager[httpx.Response]:
        """Open the events of tasks from behind an event id. Raises httpx.TransportError on entry."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        return self._client.stream("GET", "/sse", params=[("task_id", task_id) for task_id in task_ids], headers=headers)

    def file_url(self, file_id: str) -> str:
        return f"{self.endpoint.url}/files/{file_id}"

    @staticmethod
    def _json(response: httpx.Response) -> Any:
        check(response)
        try:
            return orjson.loads(response.content)
        except ValueError as error:
            raise ApiUnavailable(f"{response.request.url.copy_with(query=None)} answered {response.status_code} with something else than JSON") from error

    def _once(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise ApiUnavailable(f"the API at {self.endpoint.url} ({self.endpoint.origin}) cannot be reached: {reason}") from error

    def _again(self, call: Callable[[], T]) -> T:
        retrying = Retrying(
            retry=retry_if_exception_type(ApiUnavailable),
            wait=wait_exponential_jitter(multiplier=0.1, max=1.0),
            stop=stop_after_delay(AGAIN_SECONDS),
            reraise=True,
        )
        result: T = retrying(self._once, call)
        return result
