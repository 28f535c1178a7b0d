"""News of several streams, one of which cannot be read or written."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import gevent
import orjson
import pytest

from dtqs.api.stream.client_socket import ClientSocket, StreamPace
from dtqs.api.stream.frames import StreamFrame, final
from dtqs.api.stream.hub import Hub
from dtqs.api.stream.position import ENDED
from dtqs.api.stream.reading import SLICES_PER_TURN
from dtqs.api.stream.resource import Stream
from dtqs.api.stream.watcher import QUEUE_LIMIT, Watcher
from dtqs.api.tasks.records import record
from dtqs.event import TaskEvent
from dtqs.json_value import dumps, loads
from dtqs.store.reads import TaskLogRow, Watched
from dtqs.task import Status, TaskRecord
from dtqs.uuid7 import uuid7

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


class CrowdStore(Store):
    """Tasks with `rows` log rows each, in turns, and their ends."""

    def __init__(self, task_ids: list[str], rows: int) -> None:
        self.rows = [
            TaskLogRow(1 + turn * len(task_ids) + at, task_id, "progress", 1, "info", None, {"value": turn}, "t")
            for turn in range(rows)
            for at, task_id in enumerate(task_ids)
        ]
        last = len(self.rows)
        self.rows += [
            TaskLogRow(last + 1 + at, task_id, "completed", 1, "info", None, None, "t")
            for at, task_id in enumerate(task_ids)
        ]

    def watch(self, positions: dict[str, int], limit: int) -> list[TaskLogRow]:
        left = Counter(dict.fromkeys(positions, limit))
        found = []
        for row in self.rows:
            if row.log_id > positions.get(row.task_id, row.log_id) and left[row.task_id] > 0:
                left[row.task_id] -= 1
                found.append(row)
        return found


class CountingWatcher(Watcher):
    events = 0

    def put(self, frame: StreamFrame) -> None:
        CountingWatcher.events += 1
        super().put(frame)


def most_at_once(begin: Callable[[], object], wanted: int) -> int:
    """Return the most events that streams got between two turns of another greenlet."""
    CountingWatcher.events = most = seen = 0
    begin()
    with gevent.Timeout(60):
        while CountingWatcher.events < wanted:
            most, seen = max(most, CountingWatcher.events - seen), CountingWatcher.events
            gevent.sleep(0)
    return max(most, CountingWatcher.events - seen)


@pytest.mark.parametrize("carried", [False, True], ids=["read", "carried by the event"])
def test_the_ends_of_tasks_with_many_streams_hold_no_other_greenlet_long(carried: bool) -> None:
    task_ids = [uuid7() for _ in range(20)]
    hub = Hub(CrowdStore(task_ids, 0), 3600)  # type: ignore[arg-type]
    hub.start()
    try:
        for _ in range(800):
            watcher = CountingWatcher(dict.fromkeys(task_ids, 0), "A")
            hub.add(watcher)
            hub.ready(watcher)
        gevent.sleep(0)
        events = [TaskEvent(task_id, "completed", 1, ended(task_id) if carried else None) for task_id in task_ids]
        most = most_at_once(lambda: hub.on_events(events), 800 * 20)
        assert most < 5000
        assert not hub.watched
    finally:
        hub.stop()


@pytest.mark.parametrize("has_begun", [False, True])
def test_streams_whose_tasks_end_together_do_not_hold_the_connections(has_begun: bool) -> None:
    """gevent looks at connections after 50 callbacks, and each of these streams has two parts to send in one."""
    task_ids, sent, most = [uuid7() for _ in range(100)], [0], [0]
    hub = Hub(CrowdStore(task_ids, 0), 3600)  # type: ignore[arg-type]
    streams = []
    for _ in range(45):
        watcher = Watcher(dict.fromkeys(task_ids, 0), "A")
        hub.add(watcher)
        hub.ready(watcher)
        streams.append(Stream(hub, watcher, ClientSocket(None), task_ids, {}, StreamPace(60, 1)))
        if has_begun:
            next(streams[-1])

    def send(stream: Stream) -> None:
        for part in stream:
            sent[0] += part.count(b"event: completed")

    def look() -> None:
        seen = 0
        while True:
            gevent.sleep(1e-6)  # a timer runs when the loop has looked at the connections
            most[0], seen = max(most[0], sent[0] - seen), sent[0]

    for task_id in task_ids:
        assert hub._registry.finish_all(final(ended(task_id)))
    looking = gevent.spawn(look)
    gevent.joinall([gevent.spawn(send, stream) for stream in streams], timeout=60, raise_error=True)
    looking.kill()
    assert sent[0] == 45 * 100
    assert most[0] < 1500


def test_a_stream_with_many_rows_to_read_gets_them_in_order_as_it_has_room() -> None:
    task_ids = [uuid7() for _ in range(30)]
    store = CrowdStore(task_ids, 70)
    hub = Hub(store, 3600)  # type: ignore[arg-type]
    hub.start()
    try:
        watcher, got = Watcher(dict.fromkeys(task_ids, 0), "A"), list[StreamFrame]()
        hub.add(watcher)
        hub.ready(watcher)
        hub.on_events([TaskEvent(task_id, "completed", 1) for task_id in task_ids])
        with gevent.Timeout(60):
            while watcher.queue or watcher.positions:
                gevent.sleep(0)
                assert len(watcher.queue) <= QUEUE_LIMIT
                if watcher.queue:
                    got.append(watcher.take())
                if watcher.behind and watcher.is_low:
                    hub.catch_up(watcher)
        for task_id in task_ids:
            rows = [row.log_id for row in store.rows if row.task_id == task_id]
            assert [frame.position for frame in got if frame.task_id == task_id] == [*rows[:-1], ENDED]
    finally:
        hub.stop()


class LargeStore(CrowdStore):
    """Tasks whose records are read one by one, since they are large."""

    def __init__(self, task_ids: list[str]) -> None:
        super().__init__(task_ids, 0)
        self.order: list[str] = []

    def slices(self, task_ids: list[str]) -> list[list[str]]:
        return [[task_id] for task_id in task_ids]

    def tasks(self, task_ids: list[str], owner: str | None = None) -> list[TaskRecord]:
        self.order += task_ids
        gevent.sleep(0)
        return [ended(task_id) for task_id in task_ids]


def test_the_large_ends_of_many_tasks_do_not_delay_the_news_of_others_to_their_end() -> None:
    task_ids = [uuid7() for _ in range(60)]
    store = LargeStore(task_ids)
    hub = Hub(store, 3600)  # type: ignore[arg-type]
    hub.start()
    try:
        large, late = task_ids[:-1], task_ids[-1]
        for ids in (large, [late]):
            watcher = Watcher(dict.fromkeys(ids, 0), ids[0])
            hub.add(watcher)
            hub.ready(watcher)
        hub.on_events([TaskEvent(task_id, "completed", 1) for task_id in large])
        with gevent.Timeout(10):
            while not store.order:
                gevent.sleep(0)
            hub.on_events([TaskEvent(late, "completed", 1)])
            while hub.watched:
                gevent.sleep(0)
        assert sorted(store.order) == sorted(task_ids), "each record is read once"
        assert store.order.index(late) < 2 * SLICES_PER_TURN
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
