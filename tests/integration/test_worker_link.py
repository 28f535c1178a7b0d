"""A worker's publishing: events without confirms, and hints whose confirms it waits for, in any order."""

import functools
import time
from collections.abc import Iterator
from typing import Any

import pika
import pytest

from dtqs.broker.checkup import look_at_each
from dtqs.broker.consumer import Delivery
from dtqs.broker.keeper_link import KeeperLink
from dtqs.broker.queue import QueueLook
from dtqs.broker.topology import EVENTS, QUEUE
from dtqs.broker.worker_link import WorkerLink
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.event import decode_events, decode_hint, encode_hint
from dtqs.routes import Routes
from dtqs.task import Due
from dtqs.uuid7 import uuid7
from tests.support.helpers import eventually
from tests.support.own_queues import break_channel, note_bound, queue_exists

LIMIT_SECONDS = 20.0


@pytest.fixture
def url(vhosts: Any) -> Iterator[str]:
    made = vhosts.make()
    yield made
    vhosts.delete(made)


@pytest.fixture
def link(url: str) -> Iterator[WorkerLink]:
    one = WorkerLink(RabbitmqSection(url=url), "trial", lambda _: None, lambda *_: None)
    one.start()
    yield one
    one.stop(Deadline(5))


def test_hints_are_confirmed_before_and_after_events(url: str, link: WorkerLink) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        eventually(lambda: link._publishing.channel is not None, 10, "it is connected")
        channel.exchange_declare(EVENTS, "fanout", durable=True)
        channel.queue_declare(QUEUE, durable=True, arguments={"x-max-priority": 10})
        heard = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(heard, EVENTS)
        hinted, told = [uuid7() for _ in range(3)], [uuid7() for _ in range(4)]
        began = time.monotonic()
        link.publish_events([(1, told[0], "completed")])
        link.publish_events([(2, told[1], "completed")])
        for hint, event in zip(hinted, [*told[2:], ""], strict=True):
            link.publish_hints([Due(hint, "echo", False, 5, "")], Deadline(LIMIT_SECONDS))
            assert link._publisher.waiting == 0, "its confirm is counted as the broker counts"
            assert link._publisher.take_confirmed() == [], "nobody takes them, so a worker keeps none"
            if event:
                link.publish_events([(3, event, "completed")])
        assert time.monotonic() - began < LIMIT_SECONDS, "no wait ran into its limit"
        assert [decode_hint(taken(channel, QUEUE)).task_ids for _ in hinted] == [[hint] for hint in hinted]
        assert [decode_events(taken(channel, heard), set(told))[0].task_id for _ in told] == told


def test_an_event_of_an_attempt_goes_out_although_the_main_thread_has_kept_the_loop(link: WorkerLink) -> None:
    eventually(lambda: link._publishing.channel is not None, 10, "it is connected")
    link.wait(0.0)
    assert link._loop._ioloop._taken
    link.publish_events([(1, uuid7(), "progress")])
    assert not link._loop._ioloop._taken, "the I/O thread would take the loop after 0.1 s only"


def test_a_new_channel_leaves_no_queue_of_cancels_behind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = note_bound(monkeypatch)
    link = WorkerLink(RabbitmqSection(url=url), "trial", lambda _: None, lambda *_: None)
    link.start()
    try:
        eventually(lambda: len(bound) == 1, 10, "it hears cancels")
        (lane,) = link._consuming._lanes
        for count, lose in ((2, break_channel), (3, lambda channel: channel.queue_delete(bound[1]))):
            link._loop.call(functools.partial(lose, lane._channel))
            eventually(functools.partial(has, bound, count), 10, "it hears cancels on a new channel")
        eventually(lambda: not any(queue_exists(url, old) for old in bound[:2]), 10, "the old queues are gone")
        assert queue_exists(url, bound[2])
    finally:
        link.stop(Deadline(5))


def has(bound: list[str], count: int) -> bool:
    return len(bound) == count


def test_a_refused_queue_of_cancels_is_not_left_behind_and_delays_no_task(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = note_bound(monkeypatch, "no such exchange")
    link = WorkerLink(RabbitmqSection(url=url), "trial", lambda _: None, lambda *_: None)
    link.start()
    try:
        link.consume(1)
        eventually(lambda: len(bound) > 3, 10, "its queue was refused again and again")
        number = link._consumers[0].channel_number
        link.publish_hints([Due(uuid7(), "echo", False, 5, "")], Deadline(LIMIT_SECONDS))
        link.wait(LIMIT_SECONDS)
        assert link.inbox.has_any()
        assert number == link._consumers[0].channel_number, "the channel of the tasks is still the same"
        eventually(lambda: not queue_exists(url, bound[0]), 10, "the first refused queue is gone")
    finally:
        link.stop(Deadline(5))


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_a_queue_keeps_a_hint_that_is_returned_often(url: str, queue_type: Any) -> None:
    """A quorum queue with a wrong limit drops it at once; without a limit, RabbitMQ 4.0 drops it at the 21st return."""
    keeper = KeeperLink(RabbitmqSection(url=url, queue_type=queue_type), "trial", lambda *_: None)
    keeper.start()
    try:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            # another connection may see the queue before its leader runs
            eventually(lambda: keeper.can_publish, 10, "the queue is declared")
            channel.basic_publish("", QUEUE, b"hint")
            for _ in range(25):
                method = eventually(lambda: channel.basic_get(QUEUE)[0], 10, "the hint is there again")
                channel.basic_nack(method.delivery_tag)
    finally:
        keeper.stop(Deadline(5))


def taken(channel: Any, queue: str) -> bytes:
    """Wait for a message of a queue, and take it."""
    body: bytes = eventually(lambda: channel.basic_get(queue, auto_ack=True)[2], 10, f"a message of {queue}")
    return body


def hints_to(channel: Any, queue: str, *priorities: int) -> list[str]:
    """Publish a hint of each priority, and return their tasks."""
    task_ids = [uuid7() for _ in priorities]
    for task_id, priority in zip(task_ids, priorities, strict=True):
        properties = pika.BasicProperties(priority=priority)
        channel.basic_publish("", queue, encode_hint("echo", False, [task_id]), properties)
    return task_ids


def test_each_queue_has_its_own_priorities_and_acks_and_its_own_loss(url: str) -> None:
    queues, missing = (QUEUE, "movies"), list[str]()
    section = RabbitmqSection(url=url)
    routes, began = Routes({"video": "movies"}), time.monotonic()

    def note(queue: str, missed_at: float) -> None:
        assert began < missed_at < time.monotonic()
        missing.append(queue)

    link = WorkerLink(section, "trial", lambda _: None, note, routes, queues)
    link.start()
    came: dict[str, Delivery] = {}

    def have_come(task_ids: list[str]) -> bool:
        came.update((delivery.hint.task_ids[0], delivery) for delivery in link.inbox.empty())
        return set(task_ids) <= set(came)

    try:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            eventually(lambda: sorted(missing) == sorted(queues), 10, "it has declared both queues")
            main, movies = hints_to(channel, QUEUE, 1, 9), hints_to(channel, "movies", 1, 9)
            link.consume(10)
            eventually(lambda: have_come([*main, *movies]), 10, "hints of both queues come")
            order = [task_id for task_id in came if task_id in movies]
            assert order == movies[::-1], "the higher priority came first"
            link.ack(came[main[0]])  # the last delivery of the first queue, so this acks both
            link.serve()
            channel.queue_delete("movies")
            eventually(lambda: missing.count("movies") == 2, 10, "the deleted queue is declared again")
            (again,) = hints_to(channel, "movies", 5)
            eventually(lambda: have_come([again]), 10, "it is consumed again")
            assert missing.count(QUEUE) == 1, "the other queue noticed nothing"
            # a mixed-up ack of an unknown tag would have closed a channel, which returns deliveries
            link.ack(came[again])
            link.pause()
            eventually(lambda: look_at_each(section, "trial", queues) == dict.fromkeys(queues, QueueLook(0, 0)), 10)
    finally:
        link.stop(Deadline(5))
