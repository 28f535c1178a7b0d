"""The client: submit, follow, read, cancel and retry tasks, and transfer files. Safe requests are retried."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from dtqs.client.answers import task_or_receipt
from dtqs.client.arrays import submit_arrays
from dtqs.client.calls import open_calls
from dtqs.client.errors import ApiRefusal, TaskNotCompleted
from dtqs.client.events import follow, wait_limit
from dtqs.client.following import OneRequest, event_of
from dtqs.client.ids import file_id_of, task_id_of
from dtqs.client.log_rows import log_rows
from dtqs.client.submit_keys import submit_key
from dtqs.client.transfers import Source, keep, open_source
from dtqs.client.values import Event, LogRow, Page, StoredFile, Submission, Submitted, Task
from dtqs.deadline import Deadline
from dtqs.errors import ConfigError
from dtqs.task import OUTCOMES, Status

AGAIN_SECONDS = 4.0
WAIT_SECONDS = 3600.0
STREAM_LIMIT = 100
"""Most tasks of one stream."""
PAGE_LIMIT = 200
PREFER_SECONDS = 20
"""Longest wait within a submit. After it, the outcome comes by a stream, whose heartbeats pass through proxies."""
SUBMIT_SCHEMA = "submit."
"""Prefix of the schemas in the OpenAPI document that describe one task type each."""

TaskId = str | Submitted | Task
"""A task: its id, or a value that the client returned for it."""


def ignore(_: object) -> None:
    """Ignore a report."""


class Client:
    """Client of one API server: `url` or DTQS_URL, with the key `api_key` or DTQS_API_KEY.

    A context manager that closes its connections; threads may share it. Raises ConfigError for a malformed URL or key.
    Every method may raise ApiRefusal (the request is wrong; a retry cannot help) and ApiUnavailable (a retry may help).
    Requests are retried for `again_seconds` if a repetition has no second effect. With `gather`, submits of several
    threads or of tasks of asyncio share requests.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        again_seconds: float = AGAIN_SECONDS,
        origin: str = "",
        gather: bool = False,
    ) -> None:
        self._calls = open_calls(url, api_key, origin, again_seconds)
        self._gathering = self._calls.gathering() if gather else None

    @property
    def url(self) -> str:
        """URL of the API."""
        return self._calls.url

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, after the last gathered submits. Safe to call twice."""
        if self._gathering is not None:
            self._gathering.close()
        self._calls.close()

    def submit(
        self,
        task_type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        priority: int | None = None,
        max_retries: int | None = None,
        timeout_seconds: float | None = None,
        delay_seconds: float | None = None,
        due_at: datetime | str | None = None,
        tags: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> Submitted:
        """Submit a task; it is durable when this returns.

        A repeated idempotency key returns the first task. Without a key every call creates a task.
        """
        one = Submission(task_type, payload, priority, max_retries, timeout_seconds, delay_seconds, due_at, tags)
        if self._gathering is not None and idempotency_key is None:
            return Submitted.of(self._gathering.submit(one.as_json()))
        return Submitted.of(self._calls.submit(one.as_json(), submit_key(idempotency_key)))

    async def submit_async(
        self, task_type: str, payload: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None,
        **options: Any,
    ) -> Submitted:  # fmt: skip
        """Submit a task from a task of asyncio, as `submit`. Raises ConfigError without `gather`."""
        if self._gathering is None:
            raise ConfigError(["submit_async: needs Client(gather=True)"])
        body = Submission(task_type, payload, **options).as_json()
        return Submitted.of(await self._gathering.submit_async(body, idempotency_key))

    def submit_and_wait(
        self,
        task_type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        wait_seconds: float = WAIT_SECONDS,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Task:
        """Submit a task, wait for its outcome and return it: one request if it ends soon. `options` as of `submit`.

        Raises WaitOver; an accepted task continues then.
        """
        body, key = Submission(task_type, payload, **options).as_json(), submit_key(idempotency_key)
        deadline = wait_limit(wait_seconds)
        prefer_seconds = int(max(0, min(PREFER_SECONDS, wait_seconds)))
        answer = self._calls.submit_and_wait(body, key, prefer_seconds, task_or_receipt, deadline)
        if isinstance(answer, Task):
            return answer
        for event in OneRequest(self._calls, body, key, answer).events(deadline, ignore):
            if task := event.task:
                return task
        return self._task(answer["task_id"], deadline)

    def submit_stream(
        self,
        task_type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        wait_seconds: float = WAIT_SECONDS,
        lost: Callable[[str], None] = ignore,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Iterator[Event]:
        """Submit a task with one request and yield its events, as `stream`. `options` are those of `submit`.

        The submit happens when the iteration begins. The first event is `accepted`, and its data is the receipt.
        """
        body = Submission(task_type, payload, **options).as_json()
        call = OneRequest(self._calls, body, submit_key(idempotency_key))
        yield from call.events(wait_limit(wait_seconds), lost)

    def submit_many(
        self, tasks: Iterable[Submission | Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> list[Submitted]:
        """Submit tasks, as values or as JSON for the API, and return them in the same order.

        Each array of up to 1000 tasks is stored completely or not at all. One with too many bytes for the API goes in
        parts.
        """
        bodies = [task.as_json() if isinstance(task, Submission) else dict(task) for task in tasks]
        key = submit_key(idempotency_key)
        return [Submitted.of(answer) for answer in submit_arrays(self._calls.submit_text, bodies, key)]

    def task_types(self) -> list[str]:
        """Return the names of the task types that the API accepts."""
        schemas: dict[str, Any] = self._calls.get(
            "/openapi.json", lambda document: dict(document["components"]["schemas"])
        )
        return sorted(name.removeprefix(SUBMIT_SCHEMA) for name in schemas if name.startswith(SUBMIT_SCHEMA))

    def stream(
        self,
        tasks: TaskId | Sequence[TaskId],
        *,
        wait_seconds: float = WAIT_SECONDS,
        last_event_id: str = "",
        lost: Callable[[str], None] = ignore,
    ) -> Iterator[Event]:
        """Yield the events of up to 100 tasks until each task has its outcome.

        Reconnects without losing events; `lost` gets the reason of each reconnect.
        Raises WaitOver after `wait_seconds`.
        """
        ids = [task_id_of(tasks)] if isinstance(tasks, TaskId) else [task_id_of(task) for task in tasks]
        open_ids = {task_id.lower() for task_id in ids}
        for message in follow(
            lambda last, seconds: self._calls.stream(ids, last, seconds), wait_limit(wait_seconds), lost, last_event_id
        ):
            if event := event_of(message):
                if event.name in OUTCOMES:
                    open_ids.discard(event.task_id)
                yield event
                if not open_ids:
                    return

    def wait(self, task: TaskId, *, wait_seconds: float = WAIT_SECONDS) -> Task:
        """Wait for a task's outcome and return the task. Raises WaitOver; the task continues then."""
        return self.wait_many([task], wait_seconds=wait_seconds)[0]

    def wait_many(self, tasks: Iterable[TaskId], *, wait_seconds: float = WAIT_SECONDS) -> list[Task]:
        """Wait until all tasks have their outcomes, and return them in the same order. Raises WaitOver."""
        ids, ended, deadline = [task_id_of(task) for task in tasks], dict[str, Task](), wait_limit(wait_seconds)
        for start in range(0, len(ids), STREAM_LIMIT):
            for event in self.stream(ids[start : start + STREAM_LIMIT], wait_seconds=deadline.remaining):
                if task := event.task:
                    ended[task.task_id] = task
        return [ended.get(each) or self._task(each, deadline) for each in ids]

    def result(self, task: TaskId, *, wait_seconds: float = WAIT_SECONDS) -> Any:
        """Wait for a task and return its result. Raises TaskNotCompleted, WaitOver."""
        ended = self.wait(task, wait_seconds=wait_seconds)
        if ended.status != Status.COMPLETED:
            raise TaskNotCompleted(ended)
        return ended.result

    def task(self, task: TaskId) -> Task:
        """Return the current state of a task."""
        return self._task(task_id_of(task))

    def _task(self, task_id: str, wait: Deadline | None = None) -> Task:
        return self._calls.get(f"/tasks/{task_id}", Task.of, wait=wait)

    def tasks(
        self, *, status: Status | str | None = None, task_type: str | None = None, tag: str | None = None,
        retried: str | None = None,
    ) -> Iterator[Task]:  # fmt: skip
        """Yield all matching tasks, newest first; pages are requested on demand. `retried="no"`: without a retry."""
        after: str | None = None
        while True:
            page = self.page(status=status, task_type=task_type, tag=tag, after=after, retried=retried)
            yield from page.tasks
            after = page.after
            if after is None:
                break

    def page(
        self,
        *,
        status: Status | str | None = None,
        task_type: str | None = None,
        tag: str | None = None,
        limit: int = PAGE_LIMIT,
        after: str | None = None,
        retried: str | None = None,
    ) -> Page:
        """Return one page of a listing: up to 200 tasks, newest first."""
        wanted = {"status": status, "task_type": task_type, "tag": tag, "retried": retried, "limit": limit}
        wanted["after"] = after
        return self._calls.get("/tasks", Page.of, wanted)

    def logs(
        self, task: TaskId, *, after: int = 0, following: bool = False, wait_seconds: float = WAIT_SECONDS
    ) -> Iterator[LogRow]:
        """Yield the log of a task after a row's id; with `following`, also new rows until the outcome.

        Raises WaitOver.
        """
        return log_rows(self._calls, task_id_of(task), after, following, wait_limit(wait_seconds))

    def cancel(self, task: TaskId) -> Task:
        """Cancel a pending task at once, or ask the worker to interrupt a running one.

        Raises ApiRefusal (409) if the task has ended.
        """
        task_id, tries = task_id_of(task), 0

        def call() -> Task:
            nonlocal tries
            tries += 1
            return self._calls.post_once(f"/tasks/{task_id}/cancel", Task.of)

        try:
            return self._calls.retried(call)
        except ApiRefusal as error:
            found = self.task(task_id) if tries > 1 and error.status == HTTPStatus.CONFLICT else None
            # The first reply was lost: the task is cancelled by the first try.
            if found is None or found.status != Status.CANCELLED:
                raise
            return found

    def retry(self, task: TaskId) -> Submitted:
        """Submit a failed or cancelled task as a new task. A second call returns the same new task."""
        return self._calls.post(f"/tasks/{task_id_of(task)}/retry", Submitted.of)

    def upload(
        self, source: Source, *, name: str = "", media_type: str = "", sent: Callable[[int], None] = ignore
    ) -> StoredFile:
        """Upload a file from a path or from bytes, without retries; `sent` gets the size of each piece.

        Raises OSError.
        """
        opened = open_source(source, name, media_type, sent)
        return self._calls.upload(opened.name, opened.media_type, opened.size_bytes, opened.pieces)

    def download(self, file: StoredFile | str, path: Path | str, *, received: Callable[[int], None] = ignore) -> Path:
        """Save the file with this `upload:` URI. The path appears only with the complete file. Raises OSError."""
        file_id = file_id_of(file.uri if isinstance(file, StoredFile) else file)
        return self._calls.download(file_id, lambda response: keep(response, Path(path), received))
