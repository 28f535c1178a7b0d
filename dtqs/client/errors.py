"""Errors for the API's refusals. Their texts list each invalid field; they carry an exit status for commands."""

import os
from collections.abc import Mapping
from typing import Any

import orjson

from dtqs.bare_httpx import httpx
from dtqs.client.values import Task
from dtqs.errors import PermanentError, RequestError, TransientError

BODY_BYTES_LIMIT = 1 << 20
_STATUSES = {401: os.EX_NOPERM, 403: os.EX_NOPERM, 429: os.EX_TEMPFAIL}


class ApiUnavailable(TransientError):
    """The API is unreachable or temporarily unable; a retry may help."""

    def __init__(self, message: str, exit_status: int = os.EX_UNAVAILABLE) -> None:
        self.exit_status = exit_status
        super().__init__(message)


class WaitOver(TransientError):
    """A wait has reached its limit. The task continues."""

    exit_status = os.EX_TEMPFAIL

    def __init__(self) -> None:
        super().__init__("the wait has reached its limit (wait_seconds); the task continues")


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


def check(response: httpx.Response) -> None:
    """Raise ApiRefusal for a 4xx response, ApiUnavailable for 5xx and 429."""
    if response.status_code < 400:
        return
    problem = _body(response)
    message = problem_words(problem, response.status_code)
    if response.status_code >= 500 or response.status_code == 429:
        raise ApiUnavailable(message, os.EX_TEMPFAIL if response.status_code in (429, 503) else os.EX_UNAVAILABLE)
    raise ApiRefusal(message, response.status_code, problem if isinstance(problem, dict) else None)


def _body(response: httpx.Response) -> Any:
    """Return the JSON body of a response or an unread stream; None if it is not JSON or too large."""
    body = b""
    try:
        for chunk in response.iter_bytes() if not response.is_stream_consumed else [response.content]:
            body += chunk
            if len(body) > BODY_BYTES_LIMIT:
                return None
        return orjson.loads(body)
    except (ValueError, httpx.TransportError):
        return None


def problem_words(problem: Any, status: int) -> str:
    """Write a problem document (RFC 9457) as text: title and detail, then one line per invalid field."""
    if not isinstance(problem, dict):
        return f"the API answered {status}"
    title, detail = problem.get("title") or f"the API answered {status}", problem.get("detail")
    lines = [f"{title}: {detail}" if detail and detail != title else str(title)]
    for fault in problem.get("errors") or ():
        if isinstance(fault, dict):
            lines.append(f"  {fault.get('field', '?')}: {fault.get('message', '')}")
    return "\n".join(lines)
