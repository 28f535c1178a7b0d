"""The opening of a stream while its tasks end at the same moment."""

from collections.abc import Sequence

import gevent
import pytest

from dtqs.api.stream import watcher as watchers
from dtqs.api.stream.hub import Hub
from dtqs.api.stream.opening import begin, look
from dtqs.api.stream.position import decode, encode
from dtqs.api.stream.watcher import Watcher
from dtqs.settlement import Kind
from dtqs.store import reads as store_reads
from dtqs.store.reads import Reads, TaskLogRow
from dtqs.task import TaskRecord
from tests.support.fix_store import World


class ReadsBeforeTheEnd(Reads):
    """Let a task end between the read of its record and the read of its log."""

    def __init__(self, world: World, task_id: str) -> None:
        super().__init__(world.store.database)
        self._world, self._task_id = world, task_id

    def watch(self, positions: dict[str, int], limit: int = 200) -> list[TaskLogRow]:
        if self._world.status(self._task_id) == "pending":
            self._world.run([self._task_id])
        return super().watch(positions, limit)


def opened(reads: Reads, task_ids: Sequence[str], seen: dict[str, int]) -> tuple[Hub, Watcher]:
    """Begin a stream; its hub does not read by itself for an hour."""
    hub, watcher = Hub(reads, 3600), Watcher({task_id: seen.get(task_id, 0) for task_id in task_ids})
    hub.add(watcher)
    begin(reads, hub, watcher, seen, task_ids, look(reads, task_ids, None))
    hub.ready(watcher)
    return hub, watcher


def failed_once(world: World) -> str:
    """Return a task that waits for its second attempt: without an attempt an opening reads no log."""
    (task_id,) = world.submit()
    world.run([task_id], Kind.RETRY)
    return task_id


def test_a_task_that_ends_while_its_stream_begins_is_reported_as_ended(world: World) -> None:
    task_id = failed_once(world)
    reads = ReadsBeforeTheEnd(world, task_id)
    _, watcher = opened(reads, [task_id], {})
    assert not watcher.positions
    assert watcher.queue[-1].event == "completed"


def test_a_resumed_stream_does_not_repeat_events_that_the_opening_skipped(world: World) -> None:
    task_id = failed_once(world)
    world.run([task_id])
    _, first = opened(world.store.reads, [task_id], {})
    assert [frame.event for frame in first.queue] == ["status", "completed"]
    seen = decode(encode({task_id: first.queue[0].position}), [task_id])
    _, again = opened(world.store.reads, [task_id], seen)
    assert [frame.event for frame in again.queue] == ["completed"]


def write_log(world: World, task_id: str, rows: int = 500) -> None:
    """Give a task a longer log than an opening reads."""
    insert = (
        "INSERT INTO logs (task_id, event, attempt, level, message)"
        " SELECT %s::uuid, 'log', 1, 'info', 'line' FROM generate_series(1, %s) RETURNING 1"
    )
    world.rows(insert, task_id, rows)


def test_an_ended_task_with_a_long_log_is_reported_as_ended_at_once(world: World) -> None:
    (task_id,) = world.submit()
    write_log(world, task_id)
    world.run([task_id])
    _, watcher = opened(world.store.reads, [task_id], {})
    assert [frame.event for frame in watcher.queue] == ["status", "completed"]
    assert not watcher.positions


def test_a_task_with_a_long_log_that_ends_while_its_stream_begins_is_reported_at_once(world: World) -> None:
    task_id = failed_once(world)
    write_log(world, task_id)
    _, watcher = opened(ReadsBeforeTheEnd(world, task_id), [task_id], {})
    assert [frame.event for frame in watcher.queue] == ["status", "completed"]


def test_a_resumed_stream_reads_a_long_log_to_its_end(world: World) -> None:
    (task_id,) = world.submit()
    write_log(world, task_id)
    world.run([task_id])
    hub, watcher = opened(world.store.reads, [task_id], {task_id: 1})
    assert watcher.positions  # the opening's read stopped before the outcome
    hub.start()
    try:
        with gevent.Timeout(10):
            while watcher.positions:
                watcher.wake.clear()
                watcher.wake.wait(1)
    finally:
        hub.stop()
    assert watcher.queue[-1].event == "completed"


class CountingReads(Reads):
    """Note how many whole records each call reads."""

    def __init__(self, world: World) -> None:
        super().__init__(world.store.database)
        self.counts: list[int] = []

    def tasks(self, task_ids: Sequence[str], owner: str | None = None) -> list[TaskRecord]:
        self.counts.append(len(task_ids))
        return super().tasks(task_ids, owner)


@pytest.mark.parametrize("count", [8, 30])
@pytest.mark.parametrize("has_log", [True, False], ids=["with a log", "after its days of logs were dropped"])
def test_an_opening_with_many_large_ended_tasks_holds_at_most_the_queue_of_a_stream(
    world: World, monkeypatch: pytest.MonkeyPatch, has_log: bool, count: int
) -> None:
    monkeypatch.setattr(store_reads, "SLICE_BYTES", 5000)
    monkeypatch.setattr(watchers, "QUEUE_BYTES", 5000)
    task_ids = world.submit(count, payload='"' + "x" * 2000 + '"', light=False)
    for task_id in task_ids:
        world.run([task_id])
    if not has_log:
        world.execute("DELETE FROM logs")
    reads = CountingReads(world)
    hub, watcher = opened(reads, task_ids, {})
    finals, most = [], 0
    hub.start()
    try:
        with gevent.Timeout(20):
            while watcher.positions or watcher.queue:
                watcher.wake.clear()
                if not watcher.queue:
                    watcher.wake.wait(1)
                most = max(most, watcher.queued_bytes)
                while watcher.queue:
                    finals += [frame.task_id for frame in (watcher.take(),) if frame.event == "completed"]
                hub.catch_up(watcher)
    finally:
        hub.stop()
    assert sorted(finals) == task_ids
    assert max(reads.counts) <= 2
    assert most < 15_000
