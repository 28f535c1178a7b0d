"""The places for streams: one key cannot take them all."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import falcon
import pytest
from falcon.testing import create_environ

from dtqs.api.access.tickets import Tickets
from dtqs.api.stream import hub as hub_module
from dtqs.api.stream.frames import StreamFrame
from dtqs.api.stream.hub import Hub
from dtqs.api.stream.position import ENDED
from dtqs.api.stream.resource import Sse, Stream
from dtqs.api.stream.watcher import Watcher
from dtqs.api.submit.turns import Turns
from dtqs.config import ApiSection
from dtqs.task import Status, TaskRecord
from dtqs.uuid7 import uuid7

MOST = 6
NOTHING = cast(Any, None)


def opened(hub: Hub, holder: str, count: int, tasks: int = 1, most: int = MOST) -> list[Watcher]:
    """Open streams as far as the hub admits them. A stream that must leave does so at once."""
    watchers = []
    for number in range(count):
        if hub.admits(holder, most, tasks):
            watcher = Watcher({f"{holder} {number} {task}": 0 for task in range(tasks)}, holder)
            watchers.append(watcher)
            hub.add(watcher)
    return watchers


def end_leaving(hub: Hub, watchers: list[Watcher]) -> list[Watcher]:
    """Let the streams end that must, and return the others."""
    for watcher in watchers:
        if watcher.leaving:
            hub.remove(watcher, list(watcher.positions))
    return [watcher for watcher in watchers if not watcher.leaving]


def test_a_key_that_holds_all_places_gives_up_its_newest_for_another_key() -> None:
    hub = Hub(NOTHING, 3600)
    greedy = opened(hub, "greedy", 10)
    assert len(greedy) == MOST, "the places are limited"
    first = opened(hub, "ada", 1)
    assert len(first) == 1
    assert [watcher.leaving for watcher in greedy] == [False] * 5 + [True]
    assert hub.count == MOST + 1, "the ended stream leaves in its own time"
    greedy = end_leaving(hub, greedy)
    assert hub.count == MOST


class Tasks:
    """Reads of tasks that all are pending and new."""

    def first(self, task_ids: Sequence[str]) -> tuple[list[TaskRecord], list[str]]:
        new: Any = Status.PENDING, 5, 0, 5, {}, None, None, (), None, None, "", None, None, None
        return [TaskRecord(task_id, "echo", *new) for task_id in task_ids], []


def test_streams_by_tickets_count_for_the_key_of_their_tasks() -> None:
    hub, tickets, reads = Hub(NOTHING, 3600), Tickets(b"k" * 32, 60), cast(Any, Tasks())
    auth = cast(Any, SimpleNamespace(enabled=True))
    resource = Sse(auth, tickets, reads, hub, ApiSection(max_streams=MOST), 60, Turns(60, 1))

    def by_ticket(key_id: str) -> Any:
        """Open a stream by a ticket of its own. Return the answer's body."""
        task_id, resp = uuid7(), falcon.Response()
        query = {"task_id": task_id, "ticket": tickets.sign(key_id, task_id)}
        resource.on_get(falcon.Request(create_environ("/sse", query_string=urlencode(query))), resp)
        return resp.stream

    def open_streams(streams: list[Stream]) -> list[Stream]:
        """Return the streams that go on. The others take their leave."""
        for stream in streams:
            if stream._watcher.leaving:
                stream.close()
        return [stream for stream in streams if not stream._watcher.leaving]

    greedy, ada = uuid7(), uuid7()
    held = [by_ticket(greedy) for _ in range(MOST)]
    assert [type(stream) for stream in held] == [Stream] * MOST
    assert not isinstance(by_ticket(greedy), Stream), "a further one is refused, and displaces no other"
    assert len(open_streams(held)) == MOST
    assert isinstance(by_ticket(ada), Stream)
    assert len(open_streams(held)) == MOST - 1, "with tickets as holders, each had one stream, and nobody had most"


def test_streams_leave_a_part_of_the_connections_to_other_requests() -> None:
    hub = Hub(NOTHING, 3600, most_connections=5)
    assert len(opened(hub, "greedy", MOST)) == 4
    assert len(opened(hub, "ada", 1)) == 1, "for a stream of the other key"


def test_keys_share_the_places_and_take_no_more_from_one_another() -> None:
    hub = Hub(NOTHING, 3600)
    greedy = opened(hub, "greedy", MOST)
    others = opened(hub, "ada", 10)
    assert (len(end_leaving(hub, greedy)), len(others)) == (3, 3), "half each, and then no more"
    assert hub.count == MOST
    third = opened(hub, "bob", 10)
    assert len(third) == 2
    assert (len(end_leaving(hub, greedy)), len(end_leaving(hub, others))) == (2, 2)
    assert not hub.admits("bob", MOST)
    hub.remove(third[0], list(third[0].positions))
    hub.remove(third[0], list(third[0].positions))
    assert hub.admits("greedy", MOST), "a free place is for anybody"
    hub.end_streams()
    assert not hub.admits("ada", MOST)


@pytest.fixture
def few_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let streams watch fewer tasks in any case."""
    monkeypatch.setattr(hub_module, "_LEAST_TASKS", 100)


def test_up_to_a_hundred_streams_may_each_watch_as_many_tasks_as_a_stream_can() -> None:
    hub = Hub(NOTHING, 3600)
    assert len(opened(hub, "greedy", 100, tasks=100, most=100)) == 100
    assert not hub.admits("greedy", 101, 1)


@pytest.mark.usefixtures("few_tasks")
def test_a_key_whose_streams_watch_most_tasks_gives_way_to_another_key() -> None:
    hub = Hub(NOTHING, 3600)
    greedy = opened(hub, "greedy", 30, tasks=100, most=100)
    assert len(greedy) == 10, "streams may watch ten tasks each on average"
    first = opened(hub, "ada", 30, most=100)
    assert len(first) == 30
    assert [watcher.leaving for watcher in greedy] == [False] * 9 + [True], "its newest stream was enough"
    assert len(opened(hub, "bob", 10, tasks=100, most=100)) == 4
    assert [watcher.leaving for watcher in greedy] == [False] * 5 + [True] * 5
    assert not hub.admits("greedy", 100, 100), "a key takes no tasks from one with as many"
    assert not any(watcher.leaving for watcher in first)


@pytest.mark.usefixtures("few_tasks")
def test_ended_tasks_and_streams_make_room_for_others() -> None:
    hub = Hub(NOTHING, 3600)
    (one,) = opened(hub, "greedy", 1, tasks=100)
    assert not hub.admits("greedy", MOST, 1), "one stream of a hundred tasks has room in any case"
    for task_id in list(one.positions)[:40]:
        hub.finish(one, StreamFrame(task_id, ENDED, "completed", b"{}"))
        hub.finish(one, StreamFrame(task_id, ENDED, "completed", b"{}"))
    assert hub.admits("greedy", MOST, 40)
    assert not hub.admits("greedy", MOST, 41)
    for _ in range(2):
        hub.remove(one, list(one.positions))
    assert hub.admits("greedy", MOST, 100)
    assert (hub._registry.places.tasks, hub._registry.places._tasks) == (0, {})
    assert not hub._registry.rereads._keys
