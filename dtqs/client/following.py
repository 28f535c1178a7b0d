"""The events of a submit that follows its task in one request, and the same through two for an API that cannot."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import orjson

from dtqs.bare_httpx import httpx
from dtqs.client.calls import LEAST_SECONDS, Calls
from dtqs.client.events import HEAD_SECONDS, ServerSentEvent, follow
from dtqs.client.values import Event, Json
from dtqs.deadline import Deadline
from dtqs.task import OUTCOMES

ACCEPTED = "accepted"


class OneRequest:
    """A submit of one task whose answer is the task's stream. With a receipt, the task is accepted already."""

    def __init__(self, calls: Calls, body: object, idempotency_key: str, receipt: Json | None = None) -> None:
        self._calls, self._body, self._key, self._receipt = calls, body, idempotency_key, receipt
        self._stream: httpx.Response | None = None

    def events(self, deadline: Deadline, lost: Callable[[str], None]) -> Iterator[Event]:
        """Submit, and yield `accepted`, then the events of the task. Raises WaitOver, ApiRefusal, ApiUnavailable."""
        if self._receipt is None:
            self._stream = self._calls.retried(
                lambda: self._submit(min(HEAD_SECONDS, max(LEAST_SECONDS, deadline.remaining))), deadline
            )
        announced = False
        if self._receipt is not None:
            announced = True
            yield _accepted(self._receipt)
        for message in follow(self._opened, deadline, lost):
            if message.event == ACCEPTED:
                self._receipt = orjson.loads(message.data)
            if self._receipt is not None and not announced:
                announced = True
                yield _accepted(self._receipt)
            if message.event != ACCEPTED and (event := event_of(message)):
                yield event
                if event.name in OUTCOMES:
                    return

    def _submit(self, seconds: float) -> httpx.Response | None:
        """Submit, and return the open stream; None: the API cannot follow, and its receipt is here."""
        answer = self._calls.open_submit(self._body, self._key, seconds)
        if isinstance(answer, httpx.Response):
            return answer
        self._receipt = answer
        return None

    @contextmanager
    def _opened(self, last_event_id: str, head_seconds: float) -> Iterator[httpx.Response]:
        """Open the stream after an event. Without a receipt, submit again: the idempotency key makes that safe."""
        stream, self._stream = self._stream, None
        if stream is None and self._receipt is None:
            stream = self._submit(head_seconds)
        if stream is not None:
            with closing(stream):
                yield stream
            return
        assert self._receipt is not None
        with _stream_of(self._calls, self._receipt, last_event_id, head_seconds) as response:
            yield response


@contextmanager
def _stream_of(calls: Calls, receipt: Json, last_event_id: str, head_seconds: float) -> Iterator[httpx.Response]:
    """Open the stream of an accepted task. A key that may submit but not read needs the ticket of the receipt."""
    tickets = parse_qs(urlsplit(receipt["links"].get("sse", "")).query).get("ticket", [])
    for ticket in ["", *tickets[:1]]:
        with calls.stream([receipt["task_id"]], last_event_id, head_seconds, ticket) as response:
            if response.status_code != HTTPStatus.FORBIDDEN or ticket or not tickets:
                yield response
                return


def _accepted(receipt: Json) -> Event:
    return Event(ACCEPTED, receipt["task_id"], receipt, "")


def event_of(message: ServerSentEvent) -> Event | None:
    """Read a message; None if it is not an event of a task."""
    try:
        data = orjson.loads(message.data)
    except ValueError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("task_id"), str):
        return None
    if message.event in OUTCOMES and "task_type" not in data:
        return None
    return Event(message.event, data["task_id"], data, message.last_event_id)
