"""Reads the answers of the API, and tells them from answers of other servers and of proxies."""

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast
from urllib.parse import urljoin

import orjson

from dtqs.bare_httpx import httpx
from dtqs.client.errors import ApiRefusal, ApiUnavailable, ForeignAnswer
from dtqs.client.values import Json, Submitted, Task
from dtqs.retry_after import retry_after
from dtqs.shown_url import shown_url

BODY_BYTES_LIMIT = 1 << 20
EVENT_STREAM = "text/event-stream"
T = TypeVar("T")


def check(response: httpx.Response) -> None:
    """Raise ApiRefusal for a 4xx response, ApiUnavailable for 5xx and 429, ForeignAnswer for others but 2xx."""
    if response.is_success:
        return
    if response.status_code < 400:
        raise foreign(response, _direction(response))
    problem = _body(response)
    message = problem_words(problem, f"{_place(response)} answered {response.status_code}")
    if response.status_code >= 500 or response.status_code == 429:
        status = os.EX_TEMPFAIL if response.status_code in (429, 503) else os.EX_UNAVAILABLE
        seconds = retry_after(response.headers.get("Retry-After", ""))
        raise ApiUnavailable(message, status, retry_after_seconds=seconds)
    raise ApiRefusal(message, response.status_code, problem if isinstance(problem, dict) else None)


def check_stream(response: httpx.Response) -> None:
    """Check that a response is a stream of events. Raises as `check`."""
    check(response)
    if not is_stream(response):
        raise foreign(response, f"with {response.headers.get('Content-Type') or 'no content type'}, not with events")


def is_stream(response: httpx.Response) -> bool:
    """Return whether the response is a stream of events."""
    return bool(response.headers.get("Content-Type", "").lower().startswith(EVENT_STREAM))


def read_json(response: httpx.Response, read: Callable[[Any], T]) -> T:
    """Read a JSON answer by `read`. Raises as `check`, and ForeignAnswer if `read` misses a part."""
    check(response)
    try:
        answer = orjson.loads(response.content)
    except ValueError as error:
        raise foreign(response, "with a body that is not JSON") from error
    try:
        return read(answer)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise foreign(response, "with JSON of another program") from error


def receipts(answer: Any) -> Any:
    """Check the receipt of a task, or a list of receipts, and return it as it is. For `read_json`."""
    for each in answer if isinstance(answer, list) else (answer,):
        Submitted.of(each)
    return answer


def task_or_receipt(answer: Any) -> Task | Json:
    """Read the answer of a submit that waits: the task with its outcome, or a receipt. For `read_json`."""
    return cast(Json, receipts(answer)) if "links" in answer else Task.of(answer)


def foreign(response: httpx.Response, found: str) -> ForeignAnswer:
    """Return the error for an answer that the API does not give. `found` continues "URL answered STATUS"."""
    return ForeignAnswer(
        f"{_place(response)} answered {response.status_code} {found}: "
        "check the URL, and whether a proxy answers in place of the API"
    )


def _place(response: httpx.Response) -> str:
    """Return the URL of the request for messages. The query of a stream may hold a ticket."""
    return shown_url(str(response.request.url.copy_with(query=None)))


def _direction(response: httpx.Response) -> str:
    target = response.headers.get("Location", "").partition("?")[0]
    return f"with a redirect to {urljoin(_place(response), target)[:200]}" if target else "without a result"


def _body(response: httpx.Response) -> Any:
    """Return the JSON body of a response or an unread stream; None if it is not JSON or too large."""
    body = b""
    try:
        for chunk in response.iter_bytes() if not response.is_stream_consumed else [response.content]:
            body += chunk
            if len(body) > BODY_BYTES_LIMIT:
                return None
        return orjson.loads(body)
    except (ValueError, httpx.RequestError):
        return None


def problem_words(problem: Any, otherwise: str) -> str:
    """Write a problem document (RFC 9457) as text: title and detail, then one line per invalid field."""
    if not isinstance(problem, dict):
        return otherwise
    title, detail = problem.get("title") or otherwise, problem.get("detail")
    lines = [f"{title}: {detail}" if detail and detail != title else str(title)]
    faults = problem.get("errors")
    for fault in faults if isinstance(faults, list) else ():
        if isinstance(fault, dict):
            lines.append(f"  {fault.get('field', '?')}: {fault.get('message', '')}")
    return "\n".join(lines)
