"""An API's hints on real servers: every confirmed one is put off, however many there are, and a relay finds none."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pika
import pytest

from dtqs.api.submit.hinting import Hinting
from dtqs.broker.api_link import ApiLink
from dtqs.broker.topology import QUEUE
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.store.backlog import LONG_AGO
from dtqs.store.workers import ProcessTotals
from dtqs.task import NewTask
from dtqs.uuid7 import uuid7
from tests.support.fix_store import World
from tests.support.helpers import eventually
from tests.support.own_queues import break_channel, note_bound, queue_exists

_HELD_BYTES = 8000
"""Room for 400 tasks in commits of 100."""
COMMITS, TASKS = 50, 100
NOT_PUT_OFF = "SELECT count(*) FROM backlog WHERE publish_at < now() + interval '1 min'"


@pytest.fixture
def url(vhosts: Any) -> Iterator[str]:
    made = vhosts.make()
    yield made
    vhosts.delete(made)


@pytest.fixture
def link(url: str) -> Iterator[ApiLink]:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().queue_declare(QUEUE, durable=True, arguments={"x-max-priority": 10})
    one = ApiLink(RabbitmqSection(url=url), "trial", set(), lambda _: None)
    one.start()
    soon(lambda: one.state == "connected", "it is connected")
    yield one
    one.stop(Deadline(5))


def soon(condition: Callable[[], Any], what: str) -> None:
    """Wait for a condition while gevent's loop runs."""

    def looked() -> Any:
        gevent.sleep(0.001)
        return condition()

    eventually(looked, 10, what)


def submit(world: World, hinting: Hinting) -> None:
    for _ in range(COMMITS):
        tasks = [NewTask(uuid7(), "echo", True, "{}") for _ in range(TASKS)]
        hinting.stored(tasks, world.store.tasks.insert(tasks))
        hinting.flush()
    soon(lambda: not hinting._link._publisher.waiting, "every hint is confirmed")


def test_hints_beyond_the_room_are_put_off_at_once(world: World, link: ApiLink) -> None:
    hinting = Hinting(link, world.store.backlog, ProcessTotals(), 3600.0, _HELD_BYTES)
    submit(world, hinting)
    hinting.put_far_out()
    assert 0 < world.value(NOT_PUT_OFF) <= _HELD_BYTES / 16


def test_a_relay_publishes_none_of_more_tasks_than_there_is_room_for(world: World, link: ApiLink) -> None:
    hinting = Hinting(link, world.store.backlog, ProcessTotals(), 0.1, _HELD_BYTES)
    submit(world, hinting)

    def put_off() -> bool:
        hinting.put_far_out()
        return not hinting._held

    soon(put_off, "all of them are ripe")
    world.execute("UPDATE backlog SET publish_at = publish_at - interval '10 s'")  # more than the grace
    assert world.store.backlog.relay(LONG_AGO, COMMITS * TASKS) == ([], None, 0)


def test_a_new_channel_leaves_no_queue_of_events_behind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = note_bound(monkeypatch)
    one = ApiLink(RabbitmqSection(url=url), "trial", set(), lambda _: None)
    one.start()
    try:
        soon(lambda: bound, "it hears events")
        break_channel(one._consuming.channel)
        soon(lambda: len(bound) == 2, "it hears events on a new channel")
        soon(lambda: not queue_exists(url, bound[0]), "the old queue is gone")
        assert queue_exists(url, bound[1])
        channel = one._consuming.channel
        assert channel is not None
        channel.queue_delete(bound[1])
        soon(lambda: len(bound) == 3, "it hears events again after the broker deleted its queue")
    finally:
        one.stop(Deadline(5))


def test_tasks_of_a_submit_whose_reply_was_lost_get_their_hints(world: World, link: ApiLink) -> None:
    totals = ProcessTotals()
    hinting = Hinting(link, world.store.backlog, totals, 3600.0)
    tasks = [NewTask(uuid7(), "echo", True, "{}") for _ in range(3)]
    tasks[0].delay_seconds = 3600.0
    world.store.tasks.insert(tasks)
    again = world.store.tasks.insert(tasks)
    assert again == [], "a repetition stores nothing"
    hinting.stored(tasks, again)
    soon(lambda: totals.published == 2, "the tasks that are due have a hint")
    assert totals.submitted == 3
