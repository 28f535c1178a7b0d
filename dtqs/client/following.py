"""The events of a submit that follows its task in one request, and the same through two for an API that cannot."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import httpx
import orjson

from dtqs.client.calls import Calls
from dtqs.client.events import ServerSentEvent, follow
from dtqs.client.values import Event, Json
from dtqs.deadline import Deadline
from dtqs.task import OUTCOMES

ACCEPTED = "accepted"


class OneRequest:
    """A submit of one task whose answer is the task's stream."""

    def __init__(self, calls: Calls, body: object, idempotency_key: str) -> None:
        self._calls, self._body, self._key = calls, body, idempotency_key
        self._response: httpx.Response | None = None
        self._receipt: Json | None = None

    def events(self, deadline: Deadline, lost: Callable[[str], None]) -> Iterator[Event]:
        """Submit, and yield `accepted`, then the events of the task. Raises WaitOver, ApiRefusal, ApiUnavailable."""
        self._response = self._calls.retried(lambda: self._calls.open_submit(self._body, self._key))
        if not _is_stream(self._response):
            self._receipt, self._response = _read(self._response), None
            yield _accepted(self._receipt)
        announced = self._receipt is not None
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

    @contextmanager
    def _opened(self, last_event_id: str) -> Iterator[httpx.Response]:
        """Open the stream after an event. Without a receipt, submit again: the idempotency key makes that safe."""
        if self._receipt is None:
            answer, self._response = self._response or self._calls.open_submit(self._body, self._key), None
            if _is_stream(answer):
                with closing(answer):
                    yield answer
                return
            self._receipt = _read(answer)
        with self._calls.stream([self._receipt["task_id"]], last_event_id) as response:
            yield response


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


def _is_stream(response: httpx.Response) -> bool:
    media_type: str = response.headers.get("Content-Type", "")
    return media_type.startswith("text/event-stream")


def _read(response: httpx.Response) -> Json:
    with closing(response):
        receipt: Json = orjson.loads(response.read())
        return receipt
