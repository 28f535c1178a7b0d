"""Errors for the API's refusals. Their texts list each invalid field; they carry an exit status for commands."""

import os
from collections.abc import Mapping
from typing import Any

from dtqs.client.values import Task
from dtqs.errors import PermanentError, RequestError, TransientError

_STATUSES = {401: os.EX_NOPERM, 403: os.EX_NOPERM, 429: os.EX_TEMPFAIL}


class ApiUnavailable(TransientError):
    """The API is unreachable or temporarily unable; a retry may help, after `retry_after_seconds`."""

    def __init__(self, message: str, exit_status: int = os.EX_UNAVAILABLE, *, retry_after_seconds: float = 0.0) -> None:
        self.exit_status = exit_status
        super().__init__(message, retry_after_seconds=retry_after_seconds)


class ForeignAnswer(ApiUnavailable):
    """Another program answered: a wrong URL, or a proxy with a page or a redirect. A wait ends with it at once."""


class WaitOver(TransientError):
    """A wait has reached its limit. An accepted task continues. `reason` is the fault of the last request."""

    exit_status = os.EX_TEMPFAIL

    def __init__(self, reason: str = "") -> None:
        message = "the wait has reached its limit (wait_seconds); an accepted task continues"
        super().__init__(f"{message} ({reason})" if reason else message)


class ApiRefusal(RequestError):
    """The API refused a request (4xx). `problem` is the problem document (RFC 9457), with `errors` per field."""

    def __init__(self, message: str, status: int, problem: Mapping[str, Any] | None = None) -> None:
        self.status, self.exit_status = status, _STATUSES.get(status, 2)
        self.problem = problem or {}
        super().__init__(message)


class TaskNotCompleted(PermanentError):
    """A task has no result: it failed or was cancelled."""

    exit_status = 1

    def __init__(self, task: Task) -> None:
        self.task = task
        super().__init__(
            f"task {task.task_id} is {task.status}: {(task.error or {}).get('message', 'no error message')}"
        )
