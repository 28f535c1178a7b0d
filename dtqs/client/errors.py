"""What the API's refusals become: errors that word themselves, with each invalid field on a line and the exit status that fits a command."""

import os
from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from dtqs.client.values import Task
from dtqs.errors import PermanentError, RequestError, TransientError

BODY_BYTES_LIMIT = 1 << 20
_STATUSES = {401: os.EX_NOPERM, 403: os.EX_NOPERM, 429: os.EX_TEMPFAIL}


class ApiUnavailable(TransientError):
    """The API cannot be reached, or cannot do it now; another try may succeed."""

    def __init__(self, words: str, exit_status: int = os.EX_UNAVAILABLE) -> None:
        self.exit_status = exit_status
        super().__init__(words)


class WaitOver(TransientError):
    """The limit of a wait has passed; what was waited for goes on."""

    exit_status = os.EX_TEMPFAIL

    def __init__(self) -> None:
        super().__init__("the wait has reached its limit (wait_seconds); the task goes on")


class ApiRefusal(RequestError):
    """The API refused a request (4xx). `problem` is its problem document (RFC 9457), with `errors` for fields that are wrong."""

    def __init__(self, words: str, status: int, problem: Mapping[str, Any] | None = None) -> None:
        self.status, self.exit_status = status, _STATUSES.get(status, 2)
        self.problem = problem or {}
        super().__init__(words)


class TaskNotCompleted(PermanentError):
    """A task whose result was asked for has failed or was cancelled."""

    exit_status = 1

    def __init__(self, task: Task) -> None:
        self.task = task
        super().__init__(
            f"task {task.task_id} is {task.status}: {(task.error or {}).get('message', 'no error is known')}"
        )


def check(response: httpx.Response) -> None:
    """Raise what a response with an error status means: ApiRefusal (4xx) or ApiUnavailable (5xx, and 429)."""
    if response.status_code < 400:
        return
    problem = _body(response)
    words = problem_words(problem, response.status_code)
    if response.status_code >= 500 or response.status_code == 429:
        raise ApiUnavailable(words, os.EX_TEMPFAIL if response.status_code in (429, 503) else os.EX_UNAVAILABLE)
    raise ApiRefusal(words, response.status_code, problem if isinstance(problem, dict) else None)


def _body(response: httpx.Response) -> Any:
    """Return the problem document of a response, also of a stream that was not read yet; None where it is something else."""
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
    """Word a problem document (RFC 9457): title and detail, then each invalid field on a line."""
    if not isinstance(problem, dict):
        return f"the API answered {status}"
    title, detail = problem.get("title") or f"the API answered {status}", problem.get("detail")
    lines = [f"{title}: {detail}" if detail and detail != title else str(title)]
    for fault in problem.get("errors") or ():
        if isinstance(fault, dict):
            lines.append(f"  {fault.get('field', '?')}: {fault.get('message', '')}")
    return "\n".join(lines)
