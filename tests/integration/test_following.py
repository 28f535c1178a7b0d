"""A submit that follows its tasks: what happens between its begin, its commit and its answer."""

from collections.abc import Iterator, Mapping, Sequence

import falcon
import gevent
import orjson
import pytest
from falcon.testing import create_environ

from dtqs.api.http.byte_room import MOST_BYTES, SMALL_BYTES, ByteRoom
from dtqs.api.stream.following import SubmitFollowing
from dtqs.api.stream.frames import final
from dtqs.api.stream.hub import Hub
from dtqs.api.stream.watcher import Watcher
from dtqs.config import ApiSection
from dtqs.errors import AnswersFull, Invalid
from dtqs.event import TaskEvent, decode_events, encode_events
from dtqs.event_seal import EventSeal
from dtqs.store.reads import Watched
from dtqs.task import NewTask
from dtqs.uuid7 import uuid7
from tests.support.fix_store import World, settled

ANSWERS = ByteRoom(1 << 20, AnswersFull)
WAIT, STREAM = {"Prefer": "wait=5"}, {"Accept": "text/event-stream"}


@pytest.fixture
def hub(world: World) -> Iterator[Hub]:
    one = Hub(world.store.reads, 3600)
    one.start()
    yield one
    one.stop()


def request(headers: Mapping[str, str]) -> falcon.Request:
    return falcon.Request(create_environ("/submit", method="POST", headers=dict(headers)))


def accepted(task_ids: list[str]) -> falcon.Response:
    resp = falcon.Response()
    resp.status, resp.data = falcon.HTTP_202, orjson.dumps([{"task_id": task_id} for task_id in task_ids])
    return resp


def new(count: int = 1) -> list[NewTask]:
    return [NewTask(uuid7(), task_type="echo", light=True, payload="{}") for _ in range(count)]


def run(world: World, hub: Hub, task_ids: list[str]) -> None:
    """End the tasks, and let the hub read the event before anything else happens."""
    world.run(task_ids)
    hub.on_events([TaskEvent(task_id, "completed", 1) for task_id in task_ids])
    hub._read_all()


@pytest.mark.parametrize("headers", [WAIT, STREAM])
def test_a_task_that_ends_before_its_submit_is_answered_is_reported(
    world: World, hub: Hub, headers: dict[str, str]
) -> None:
    (task,) = new()
    followed, resp = (
        SubmitFollowing(world.store.reads, hub, ApiSection(), ANSWERS).begin(request(headers), [task]),
        accepted(["x"]),
    )
    assert followed
    world.store.tasks.insert([task])
    run(world, hub, [task.task_id])
    resp.data = orjson.dumps({"task_id": task.task_id})
    followed.answer(resp, [task.task_id], are_new=True)
    assert resp.status == falcon.HTTP_200
    if headers is WAIT:
        assert orjson.loads(resp.data)["status"] == "completed"
    else:
        stream: Iterator[bytes] = resp.stream  # type: ignore[assignment]
        events = [line[7:] for line in b"".join(stream).decode().splitlines() if line.startswith("event: ")]
        assert events == ["accepted", "status", "completed"]
        followed.close()
    assert hub.count == 0
    assert not hub.watched


def test_the_outcomes_of_an_array_come_in_its_order(world: World, hub: Hub) -> None:
    tasks = new(3)
    ids = [task.task_id for task in tasks]
    followed, resp = (
        SubmitFollowing(world.store.reads, hub, ApiSection(), ANSWERS).begin(request(WAIT), tasks),
        accepted(ids),
    )
    assert followed
    world.store.tasks.insert(tasks)
    run(world, hub, ids[::-1])
    followed.answer(resp, ids, are_new=True)
    assert [one["task_id"] for one in orjson.loads(resp.data or b"")] == ids


def test_a_burst_of_announced_outcomes_is_read_without_the_logs(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn takes 200 tasks. The others stay announced until their own turn."""
    tasks = [new(50) for _ in range(5)]
    submits = SubmitFollowing(world.store.reads, hub, ApiSection(), ANSWERS)
    followed = [submits.begin(request(WAIT), part) for part in tasks]
    ids = [task.task_id for part in tasks for task in part]
    for part in tasks:
        world.store.tasks.insert(part)
    world.run(ids)
    for one in followed:
        assert one
        assert one._watcher
        hub.ready(one._watcher)
    monkeypatch.setattr(world.store.reads, "watch", lambda *_: pytest.fail("the logs were read"))
    hub.on_events([TaskEvent(task_id, "completed", 1) for task_id in ids])
    hub._read_all()
    assert not hub.watched


def ended(world: World, task_id: str) -> TaskEvent:
    """Let the task end as a worker's event tells it, with its outcome."""
    rows, (outcome,) = world.store.leases.complete_few(world.claim(world.worker(), [task_id]), settled([task_id]))
    seal = EventSeal()
    seal.learn(world.store.workers.event_key(make=True))
    (event,) = decode_events(encode_events([*rows, seal.row([outcome])]), {task_id}, seal.is_genuine)
    assert event.outcome is not None
    return event


@pytest.mark.parametrize("headers", [WAIT, STREAM])
def test_an_outcome_that_its_event_carries_is_not_read(
    world: World, hub: Hub, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = new(2)
    submits = SubmitFollowing(world.store.reads, hub, ApiSection(), ANSWERS)
    followed = [submits.begin(request(headers), [task]) for task in tasks]
    world.store.tasks.insert(tasks)
    for one in followed:
        assert one
        assert one._watcher
        hub.ready(one._watcher)
    hub._read_all()
    with monkeypatch.context() as patched:
        patched.setattr(hub, "_reads", None)
        hub.on_events([ended(world, task.task_id) for task in tasks])
        hub._read_all()
    assert not hub.watched
    for one, task in zip(followed, tasks, strict=True):
        assert one
        assert one._watcher
        (frame,) = one._watcher.queue
        assert frame == final(world.store.reads.task(task.task_id))


def test_an_outcome_without_room_is_read_later(world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    (task,) = new()
    first, full = (
        SubmitFollowing(world.store.reads, hub, ApiSection(), ANSWERS).begin(request(WAIT), [task]) for _ in range(2)
    )
    world.store.tasks.insert([task])
    assert first
    assert first._watcher
    assert full
    assert full._watcher
    hub.ready(first._watcher)
    hub.on_events([ended(world, task.task_id)])
    assert len(first._watcher.queue) == 1
    hub._read_all()
    assert not full._watcher.queue
    hub.ready(full._watcher)
    hub._read_all()
    assert [frame.event for frame in full._watcher.queue] == ["completed"]
    assert len(first._watcher.queue) == 1, "no second final event"


def test_a_repeated_submit_gets_the_outcome_of_the_first(world: World, hub: Hub) -> None:
    (first,) = world.submit()
    world.run([first])
    followed, resp = (
        SubmitFollowing(world.store.reads, hub, ApiSection(), ANSWERS).begin(request(WAIT), new()),
        accepted([first]),
    )
    assert followed
    followed.answer(resp, [first], are_new=False)
    assert orjson.loads(resp.data or b"")[0]["task_id"] == first
    assert not hub.watched


@pytest.mark.parametrize("headers", [WAIT, STREAM])
def test_a_repeated_submit_ends_at_once_if_the_server_ends_before_its_answer(
    world: World, hub: Hub, headers: dict[str, str]
) -> None:
    (first,) = world.submit()
    followed = SubmitFollowing(world.store.reads, hub, ApiSection(), ANSWERS).begin(request(headers), new())
    resp = accepted([first])
    assert followed
    hub.end_streams()
    with gevent.Timeout(4):
        followed.answer(resp, [first], are_new=False)
        body = b"".join(resp.stream or ())  # type: ignore[arg-type]
    assert resp.status == (falcon.HTTP_202 if headers is WAIT else falcon.HTTP_200)
    assert body.count(b"event: accepted") == (headers is STREAM)


@pytest.mark.parametrize("ends", ["the server", "the server at once", "no room"])
def test_a_wait_that_cannot_go_on_is_answered_as_an_ordinary_submit(world: World, hub: Hub, ends: str) -> None:
    (task,) = new()
    section = ApiSection(max_streams=1)
    following = SubmitFollowing(world.store.reads, hub, section, ANSWERS)
    if ends == "no room":
        following.begin(request(WAIT), new())
    followed, resp = following.begin(request({"Prefer": "wait=3600"}), [task]), accepted([task.task_id])
    assert followed
    if ends == "the server at once":
        hub.end_streams()
    answering = gevent.spawn(followed.answer, resp, [task.task_id], are_new=True)
    gevent.sleep(0)
    if ends == "the server":
        assert not answering.ready()
        hub.end_streams()
    answering.get(timeout=5)
    assert resp.status == falcon.HTTP_202
    assert resp.get_header("Preference-Applied") == ("wait=50" if ends == "the server" else None)


@pytest.mark.parametrize("count", [1, 2])
def test_several_outcomes_above_the_bound_are_not_answered_together(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    tasks = new(count)
    ids = [task.task_id for task in tasks]
    world.store.tasks.insert(tasks)
    world.run(ids)
    sizes = [len(final(world.store.reads.task(task_id)).data) for task_id in ids]
    monkeypatch.setattr("dtqs.api.stream.following.OUTCOMES_BYTES", sum(sizes) - 1)
    following, resp = SubmitFollowing(world.store.reads, hub, ApiSection(), ANSWERS), accepted(ids)
    followed = following.begin(request(WAIT), tasks)
    assert followed
    hub.on_events([TaskEvent(task_id, "completed", 1) for task_id in ids])
    followed.answer(resp, ids, are_new=True)
    assert resp.status == (falcon.HTTP_200 if count == 1 else falcon.HTTP_202)
    assert resp.get_header("Preference-Applied") == "wait=5"


def test_too_many_tasks_for_a_stream_are_refused_before_they_are_stored(world: World, hub: Hub) -> None:
    following = SubmitFollowing(world.store.reads, hub, ApiSection(), ANSWERS)
    with pytest.raises(Invalid):
        following.begin(request(STREAM), new(101))
    assert following.begin(request(WAIT), new(101)) is None
    assert following.begin(request({"Accept": "*/*"}), new(1)) is None
    assert hub.count == 0


@pytest.mark.parametrize("size", [10, SMALL_BYTES])
def test_an_outcome_without_room_among_the_large_answers_is_not_waited_for(world: World, hub: Hub, size: int) -> None:
    (task,) = new()
    task.payload = orjson.dumps({"x": "x" * size}).decode()
    answers = ByteRoom(1 << 20, AnswersFull)
    full = answers.share("one")
    full.cover(MOST_BYTES // 2)
    following = SubmitFollowing(world.store.reads, hub, ApiSection(), answers)
    followed, resp = following.begin(request(WAIT), [task], "one"), accepted([task.task_id])
    assert followed
    world.store.tasks.insert([task])
    run(world, hub, [task.task_id])
    followed.answer(resp, [task.task_id], are_new=True)
    assert resp.status == (falcon.HTTP_200 if size < SMALL_BYTES else falcon.HTTP_202)


def test_an_idle_hub_reads_a_bounded_number_of_watched_tasks(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key may watch 400,000 delayed tasks. Each round used to read all of them, in 2,000 statements."""
    reads: list[int] = []
    watched = world.store.reads.watched

    def noted(task_ids: Sequence[str]) -> list[Watched]:
        reads.append(len(task_ids))
        return watched(task_ids)

    monkeypatch.setattr(world.store.reads, "watched", noted)
    one = Hub(world.store.reads, 1)
    mine = world.submit(3)
    for holder, ids in [*(("greedy", [uuid7() for _ in range(100)]) for _ in range(30)), ("modest", mine)]:
        watcher = Watcher(dict.fromkeys(ids, 0), holder)
        one.add(watcher)
        one.ready(watcher)
    one._read_all()
    world.run(mine[:1])
    for _ in range(2):
        one._reread()
        assert (len(reads), sum(reads)) == (8, 1500)
        reads.clear()
    assert [frame.event for frame in watcher.queue][-1] == "completed", "the first round found the lost event"
