"""News of several streams, one of which cannot be read or written."""

from typing import Any

import gevent
import orjson
import pytest

from dtqs.api.stream.hub import Hub
from dtqs.api.stream.watcher import Watcher
from dtqs.api.tasks.records import record
from dtqs.event import TaskEvent
from dtqs.json_value import dumps, loads
from dtqs.store.reads import TaskLogRow, Watched
from dtqs.task import Status, TaskRecord

BAD, GOOD = "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002"


class Store:
    """Both tasks have ended. The record of one raises an error."""

    def watch(self, positions: dict[str, int], _: int) -> list[TaskLogRow]:
        return [TaskLogRow(7, task_id, "completed", 1, "info", None, None, "t") for task_id in positions]

    def ended(self, _: object) -> list[Any]:
        return []

    def watched(self, task_ids: list[str]) -> list[Watched]:
        return [Watched(task_id, Status.COMPLETED, 1, 7) for task_id in task_ids]

    def slices(self, task_ids: list[str]) -> list[list[str]]:
        return [list(task_ids)]

    def tasks(self, task_ids: list[str], owner: str | None = None) -> list[TaskRecord]:
        if BAD in task_ids:
            raise ValueError("this record cannot be read")
        return [ended(task_id) for task_id in task_ids]


def ended(task_id: str, **values: Any) -> TaskRecord:
    fields: dict[str, Any] = {"payload": {}, "result": None} | values
    at = "2030-01-01T00:00:00Z"
    return TaskRecord(
        task_id=task_id, task_type="echo", status=Status.COMPLETED, priority=5, attempt=1, max_retries=5, error=None,
        tags=(), progress=None, retry_of=None, created_at=at, due_at=None, started_at=at, finished_at=at, **fields,
    )  # fmt: skip


def test_a_record_that_cannot_be_read_ends_its_own_streams_only() -> None:
    hub = Hub(Store(), 0.01)  # type: ignore[arg-type]
    hub.start()
    try:
        bad, good = Watcher({BAD: 0}, "A"), Watcher({GOOD: 0}, "B")
        for watcher in (bad, good):
            hub.add(watcher)
            hub.ready(watcher)
        with gevent.Timeout(20):
            while not (good.queue and bad.leaving):
                gevent.sleep(0.001)
        assert [frame.task_id for frame in good.queue] == [GOOD]
        assert not good.leaving
    finally:
        hub.stop()


class BusyStore(Store):
    """A slow store. During each read, another task gets an event."""

    def __init__(self) -> None:
        self.hub: Hub | None = None

    def watch(self, positions: dict[str, int], _: int) -> list[TaskLogRow]:
        gevent.sleep(0.002)
        assert self.hub
        self.hub.on_events([TaskEvent(BAD, "progress", 7)])
        return []

    def watched(self, task_ids: list[str]) -> list[Watched]:
        return [Watched(task_id, Status.COMPLETED, 1, 7) for task_id in task_ids if task_id == GOOD]

    def tasks(self, task_ids: list[str], owner: str | None = None) -> list[TaskRecord]:
        return [ended(task_id) for task_id in task_ids]


def test_a_lost_event_is_found_while_news_of_others_never_end() -> None:
    store = BusyStore()
    hub = store.hub = Hub(store, 0.05)  # type: ignore[arg-type]
    hub.start()
    try:
        busy, lost = Watcher({BAD: 0}, "A"), Watcher({GOOD: 0}, "B")
        for watcher in (busy, lost):
            hub.add(watcher)
            hub.ready(watcher)
        hub.on_events([TaskEvent(BAD, "progress", 7), TaskEvent(BAD, "completed", 8)])
        with gevent.Timeout(10):
            while not lost.queue:
                gevent.sleep(0.001)
        assert [frame.task_id for frame in lost.queue] == [GOOD]
        hub.remove(busy, [BAD])
        with gevent.Timeout(10):
            while hub._announced or hub._known_ended:
                gevent.sleep(0.001)
    finally:
        hub.stop()


@pytest.mark.parametrize("depth", [10, 300])
def test_a_large_value_is_written_beside_one_that_is_nested_deep(depth: int) -> None:
    deep: Any = None
    for _ in range(depth):
        deep = [deep]
    large = orjson.Fragment(b'"' + b"x" * 20_000 + b'"')
    written = dumps(record(ended(GOOD, payload=large, result=deep)))
    assert b'"payload":"' + b"x" * 20_000 + b'"' in written
    assert b"[" * depth in written
    assert loads(dumps({"a": large})) == {"a": "x" * 20_000}
