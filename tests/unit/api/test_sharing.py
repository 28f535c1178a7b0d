"""Reads that streams share: who reads with whom, and what an error reaches."""

import time
from collections.abc import Sequence

import gevent
import pytest
from gevent.event import Event

from dtqs.api.stream.sharing import GROUP_TASKS, READERS, SharedReads
from dtqs.errors import StoreUnavailable
from dtqs.task import Status, TaskRecord

SECONDS = 5.0


def record(task_id: str, owner: str | None = None) -> TaskRecord:
    return TaskRecord(
        task_id, "echo", Status.PENDING, 5, 0, 5, {}, None, None, (), None, None, "", None, None, None, owner
    )


class Table:
    """Some tasks. Each read waits until it may go on."""

    def __init__(self, *tasks: TaskRecord) -> None:
        self._tasks = {task.task_id: task for task in tasks}
        self.reads: list[list[str]] = []
        self.may_go_on = Event()
        self.unreadable: set[str] = set()
        self.large: set[str] = set()
        """Tasks that end a read: the rest does not fit."""
        self.is_away = False

    def read(self, task_ids: Sequence[str]) -> tuple[list[TaskRecord], list[str]]:
        self.reads.append(list(task_ids))
        assert self.may_go_on.wait(SECONDS)
        if self.is_away:
            raise StoreUnavailable("away")
        if self.unreadable.intersection(task_ids):
            raise ValueError(task_ids)
        count = next((at for at, task_id in enumerate(task_ids, 1) if task_id in self.large), len(task_ids))
        return [self._tasks[task_id] for task_id in task_ids[:count] if task_id in self._tasks], list(task_ids[count:])


def opening(shared: SharedReads, *task_ids: str, holder: str = "") -> list[gevent.Greenlet]:
    """Ask for tasks at the same time, each in a greenlet of its own."""
    greenlets = [gevent.spawn(shared.task, task_id, None, holder) for task_id in task_ids]
    gevent.sleep(0)
    return greenlets


def names(count: int) -> list[str]:
    return [f"task {number}" for number in range(count)]


def test_a_lone_stream_reads_at_once() -> None:
    table = Table(record("a"))
    table.may_go_on.set()
    assert SharedReads(table.read, SECONDS).task("a", None) == record("a")
    assert table.reads == [["a"]]


def test_streams_that_come_during_a_read_share_the_next_ones() -> None:
    wanted = names(READERS + 2 * GROUP_TASKS)
    table = Table(*map(record, wanted))
    greenlets = opening(SharedReads(table.read, SECONDS), *wanted)
    assert table.reads == [[task_id] for task_id in wanted[:READERS]]
    table.may_go_on.set()
    gevent.joinall(greenlets, SECONDS)
    assert [one.value.task_id for one in greenlets] == wanted
    assert [len(read) for read in table.reads] == [1] * READERS + [GROUP_TASKS] * 2


def test_what_does_not_fit_into_a_read_comes_with_the_next_one() -> None:
    wanted = names(READERS + 5)
    table = Table(*map(record, wanted))
    table.large = set(wanted[READERS + 1 : READERS + 4])
    greenlets = opening(SharedReads(table.read, SECONDS), *wanted, "none")
    table.may_go_on.set()
    gevent.joinall(greenlets, SECONDS)
    assert [one.value and one.value.task_id for one in greenlets] == [*wanted, None]
    assert [len(read) for read in table.reads[READERS:]] == [6, 4, 3, 2]


def test_keys_share_the_reads_fairly() -> None:
    """A key with many large tasks delays the streams of another key by one read of each reader at most."""
    table = Table(*map(record, [*names(20 * GROUP_TASKS), "modest 0", "modest 1"]))
    shared = SharedReads(table.read, SECONDS)
    greedy = opening(shared, *names(20 * GROUP_TASKS), holder="greedy")
    modest = opening(shared, "modest 0", "modest 1", holder="modest")
    table.may_go_on.set()
    gevent.joinall([*greedy, *modest], SECONDS)
    assert [one.value.task_id for one in modest] == ["modest 0", "modest 1"]
    assert {"modest 0", "modest 1"} < set(table.reads[READERS])
    assert sorted(task_id for read in table.reads for task_id in read if task_id.startswith("task")) == sorted(
        names(20 * GROUP_TASKS)
    )


def test_the_turn_is_free_again_after_a_burst() -> None:
    table = Table(record("a"))
    shared = SharedReads(table.read, SECONDS)
    greenlets = opening(shared, *["a"] * 30)
    table.may_go_on.set()
    gevent.joinall(greenlets, SECONDS)
    table.reads.clear()
    table.may_go_on.clear()
    greenlets = opening(shared, *["a"] * READERS)
    assert table.reads == [["a"]] * READERS
    table.may_go_on.set()
    gevent.joinall(greenlets, SECONDS)


def test_a_missing_task_and_that_of_another_owner_look_alike() -> None:
    table = Table(record("mine", "me"), record("theirs", "they"))
    table.may_go_on.set()
    shared = SharedReads(table.read, SECONDS)
    assert shared.task("mine", "me") == record("mine", "me")
    assert shared.task("theirs", "me") is None
    assert shared.task("none", "me") is None
    assert shared.task("theirs", None) == record("theirs", "they")


def test_an_unreadable_record_fails_alone() -> None:
    wanted = names(READERS + 3)
    table = Table(*map(record, wanted))
    table.unreadable = {wanted[-1]}
    greenlets = opening(SharedReads(table.read, SECONDS), *wanted)
    table.may_go_on.set()
    gevent.joinall(greenlets, SECONDS)
    assert [one.value.task_id for one in greenlets[:-1]] == wanted[:-1]
    assert isinstance(greenlets[-1].exception, ValueError)


def test_each_stream_hears_that_the_store_is_away() -> None:
    table = Table()
    table.is_away = True
    greenlets = opening(SharedReads(table.read, SECONDS), *names(READERS + 3))
    table.may_go_on.set()
    gevent.joinall(greenlets, SECONDS)
    errors = [one.exception for one in greenlets]
    assert all(isinstance(error, StoreUnavailable) for error in errors)
    assert len({id(error) for error in errors}) == len(errors)


def test_a_stream_waits_for_its_turn_with_a_limit() -> None:
    table = Table()
    shared = SharedReads(table.read, 0.01)
    held = opening(shared, *names(READERS))
    with pytest.raises(StoreUnavailable, match="too many streams"):
        shared.task("late", None)
    table.may_go_on.set()
    gevent.joinall(held, SECONDS)


def test_a_killed_request_leaves_the_turn_to_others() -> None:
    wanted = names(READERS + 2)
    table = Table(*map(record, wanted))
    greenlets = opening(SharedReads(table.read, SECONDS), *wanted)
    gevent.killall([*greenlets[:READERS], greenlets[-1]], block=True, timeout=SECONDS)
    table.may_go_on.set()
    gevent.joinall(greenlets, SECONDS)
    assert greenlets[READERS].value == record(wanted[READERS])


def test_a_stream_that_has_given_up_is_not_read() -> None:
    wanted = names(READERS + 1)
    table = Table(*map(record, wanted))
    shared = SharedReads(table.read, 0.5)
    held = opening(shared, *wanted[:READERS])
    late = opening(shared, *["late"] * 3 * GROUP_TASKS)
    gevent.joinall(late, SECONDS)
    assert all(isinstance(one.exception, StoreUnavailable) for one in late)
    waiting = opening(shared, wanted[-1])
    table.may_go_on.set()
    gevent.joinall([*held, *waiting], SECONDS)
    assert waiting[0].value == record(wanted[-1])
    assert table.reads == [[task_id] for task_id in wanted]


def test_a_killed_stream_that_waits_is_not_read() -> None:
    wanted = names(READERS + 2)
    table = Table(*map(record, wanted))
    greenlets = opening(SharedReads(table.read, SECONDS), *wanted)
    greenlets[READERS].kill()
    table.may_go_on.set()
    gevent.joinall(greenlets, SECONDS)
    assert table.reads[READERS:] == [[wanted[-1]]]


def test_one_failed_read_tells_all_waiting_streams_that_the_store_is_away() -> None:
    table = Table()
    table.is_away = True
    greenlets = opening(SharedReads(table.read, SECONDS), *names(READERS + 5 * GROUP_TASKS))
    table.may_go_on.set()
    gevent.joinall(greenlets, SECONDS)
    assert all(isinstance(one.exception, StoreUnavailable) for one in greenlets)
    assert len(table.reads) == READERS


def test_the_streams_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtqs.api.stream.sharing.WAITING_LIMIT", 2)
    table = Table()
    shared = SharedReads(table.read, SECONDS)
    greenlets = opening(shared, *names(READERS + 2))
    with pytest.raises(StoreUnavailable, match="too many streams"):
        shared.task("one more", None)
    table.may_go_on.set()
    gevent.joinall(greenlets, SECONDS)
    assert [one.exception for one in greenlets] == [None] * len(greenlets)


def test_the_wishes_of_one_key_are_taken_in_linear_time() -> None:
    """The first key of a dict costs more with each key that was removed before it."""
    table = Table()
    shared = SharedReads(table.read, 60.0)
    asked = opening(shared, *names(6_000 + READERS))

    def seconds_for(count: int) -> float:
        began = time.thread_time()
        for _ in range(count):
            shared._take()
        return time.thread_time() - began

    first = min(seconds_for(100) for _ in range(5))
    seconds_for(5_000)
    assert min(seconds_for(100) for _ in range(5)) < 3 * first
    gevent.killall(asked, timeout=SECONDS)
