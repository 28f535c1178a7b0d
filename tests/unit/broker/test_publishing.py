"""Hints that a channel refuses, or leaves without an answer, are published again on a new one."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pika import BasicProperties
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from dtqs.broker import unanswered
from dtqs.broker.publisher import hints
from dtqs.broker.publishing import PublishingLine
from dtqs.broker.unanswered import SILENT_SECONDS, WINDOW
from dtqs.config import RabbitmqSection
from dtqs.event import decode_hint
from dtqs.routes import Routes
from dtqs.task import Due
from dtqs.uuid7 import uuid7

SLOW = "slow"
"""A queue with a route, whose node answers nothing in these tests."""


class Timers:
    """A loop that opens nothing. `pass_time` calls what waits for its time."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.waiting.append((seconds, call))

    def pass_time(self) -> list[float]:
        waiting, self.waiting = self.waiting, []
        for _, call in waiting:
            call()
        return [seconds for seconds, _ in waiting]


class Published:
    """A channel that notes the tasks of the hints published on it, and answers when the test wants it."""

    def __init__(self) -> None:
        self.task_ids: list[str] = []
        self.queues: list[str] = []
        self.is_open = True
        self._answer: Callable[[Method], None] = lambda _: None

    def exchange_declare(self, *_: object, **__: object) -> None: ...
    def add_on_return_callback(self, _: object) -> None: ...

    def confirm_delivery(self, answer: Callable[[Method], None]) -> None:
        self._answer = answer

    def basic_publish(
        self, _: str, key: str, body: bytes, properties: BasicProperties | None = None, mandatory: bool = False
    ) -> None:
        if properties:
            properties.encode()  # pika does this before it writes anything
        if key in ("task_queue", SLOW):
            self.task_ids += decode_hint(body).task_ids
            self.queues.append(key)

    def answer(self, tag: int) -> None:
        self._answer(Method(1, Basic.Ack(tag, multiple=False)))

    def refuse(self, tag: int) -> None:
        self._answer(Method(1, Basic.Nack(tag, multiple=False)))

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def loop() -> Timers:
    return Timers()


class Line(PublishingLine):
    """A line whose connection opens each channel when the test calls `open`."""

    def __init__(self, loop: Timers) -> None:
        super().__init__(cast(Any, loop), RabbitmqSection(), "test", Routes({"video": SLOW}))
        self.connection.state = "connected"
        self.reopened = 0
        cast(Any, self.connection).reopen_channel = self._reopen
        self.asked: list[bool] = []

    def open(self) -> Published:
        published = Published()
        self.connection.channel = cast(Channel, published)
        self._attach(cast(Channel, published))
        return published

    def publish(self, *task_ids: str, task_type: str = "echo") -> None:
        self.publish_and_wait([Due(task_id, task_type, False, 5, "") for task_id in task_ids], self.asked.append)

    def _reopen(self) -> None:
        self.reopened += 1


def test_a_silent_channel_is_given_up_and_its_hints_are_published_again(loop: Timers) -> None:
    line, tasks = Line(loop), [uuid7() for _ in range(3)]
    first = line.open()
    line.publish(*tasks)
    assert (loop.pass_time(), line.reopened) == ([SILENT_SECONDS], 1)
    later = uuid7()
    line.publish(later)  # the new channel is not open yet
    second = line.open()
    assert (second.task_ids, first.is_open) == ([*tasks, later], False)
    first.answer(1)
    assert line.publisher.waiting == 4, "a late answer on the first channel means nothing here"
    for tag in range(1, 5):
        second.answer(tag)
    assert (line.publisher.waiting, line.asked) == (0, [True, True])


def test_refused_hints_are_published_again_on_a_new_channel(loop: Timers) -> None:
    line, tasks = Line(loop), [uuid7() for _ in range(3)]
    first = line.open()
    line.publish(*tasks)
    first.answer(1)
    first.refuse(2)
    first.refuse(3)
    assert line.asked == [True], "a keeper does not wait for the second try"
    assert (loop.pass_time(), line.reopened) == ([SILENT_SECONDS], 1)
    second = line.open()
    assert (second.task_ids, first.is_open) == (tasks[1:], False)
    second.answer(1)
    second.answer(2)
    loop.pass_time()
    assert (line.publisher.waiting, line.publisher.has_refused, line.reopened, loop.waiting) == (0, False, 1, [])


def test_a_channel_that_answers_stays(loop: Timers) -> None:
    line = Line(loop)
    channel = line.open()
    line.publish(uuid7())
    line.publish(uuid7())
    channel.answer(1)
    assert loop.pass_time() == [SILENT_SECONDS]
    channel.answer(2)
    assert (loop.pass_time(), loop.waiting, line.reopened) == ([SILENT_SECONDS], [], 0)


def test_a_queue_that_is_down_for_long_costs_fewer_and_fewer_channels(loop: Timers) -> None:
    line, task = Line(loop), uuid7()
    line.open()
    line.publish(task)
    pauses = list[float]()
    for _ in range(9):
        pauses += loop.pass_time()
        assert line.open().task_ids == [task]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    line._lost()
    line.open()
    line.publish(task)
    assert loop.pass_time()[-1] == SILENT_SECONDS, "a new connection begins anew"


def test_an_alarm_is_no_silence(loop: Timers) -> None:
    line = Line(loop)
    line.open()
    line.publish(uuid7())
    line.connection.state = "blocked"
    loop.pass_time()
    assert line.reopened == 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that tells how long a queue has been silent."""
    now = [1000.0]
    monkeypatch.setattr(unanswered, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_nobody_waits_for_a_queue_that_answers_nothing(loop: Timers, clock: list[float]) -> None:
    line = Line(loop)
    channel = line.open()
    line.publish(uuid7(), task_type="video")
    line.publish(uuid7())
    channel.answer(2)
    assert line.asked == [], "the slow queue may still answer"
    clock[0] += SILENT_SECONDS
    loop.pass_time()
    assert line.asked == [True, True]
    line.publish(uuid7())
    assert line.asked == [True, True], "a queue that answers is waited for"
    channel.answer(3)
    assert line.asked == [True, True, True], "its answer is enough"
    line.publish(uuid7(), task_type="video")
    assert line.asked == [True] * 4, "nobody waits for a queue that is known to be silent"


def test_a_silent_queue_stays_silent_on_a_new_channel_until_it_answers(loop: Timers, clock: list[float]) -> None:
    line, film = Line(loop), uuid7()
    line.open()
    line.publish(film, task_type="video")
    clock[0] += SILENT_SECONDS
    loop.pass_time()
    second = line.open()
    assert (second.task_ids, line.asked) == ([film], [True])
    line.publish(uuid7(), task_type="video")
    assert line.asked == [True, True]
    second.answer(1)
    line.publish(uuid7(), task_type="video")
    assert line.asked == [True, True], "it answers again, so it is waited for"
    second.answer(2)
    second.answer(3)
    assert line.asked == [True, True, True]


def test_the_hints_of_a_silent_queue_leave_room_for_others(loop: Timers) -> None:
    line = Line(loop)
    channel = line.open()
    line.publish(*(uuid7() for _ in range(WINDOW + 5)), task_type="video")
    assert channel.queues == [SLOW] * WINDOW
    line.publish(*(uuid7() for _ in range(3)))
    assert channel.queues[WINDOW:] == ["task_queue"] * 3
    channel.answer(1)
    line.publish(uuid7(), uuid7(), task_type="video")
    assert channel.queues[WINDOW + 3 :] == [SLOW], "one answer makes room for one hint"


@pytest.mark.parametrize("light", [True, False])
@pytest.mark.parametrize("priority", [-32768, -1, 1000, 32767])
def test_a_priority_that_somebody_has_written_into_the_backlog_stops_no_hint(
    loop: Timers, priority: int, light: bool
) -> None:
    line, tasks = Line(loop), [uuid7() for _ in range(3)]
    channel = line.open()
    dues = [Due(task_id, "echo", light, each, "") for task_id, each in zip(tasks, (5, priority, 9), strict=True)]
    line.publish_and_wait(dues, line.asked.append)
    assert sorted(channel.task_ids) == sorted(tasks)
    assert {each for each, _, _ in hints(dues)} <= set(range(10))


def test_a_hint_that_cannot_be_written_shifts_no_answer_of_the_others(loop: Timers) -> None:
    line, (first, second) = Line(loop), [uuid7() for _ in range(2)]
    channel = line.open()
    line.publish(first)
    write, channel.basic_publish = channel.basic_publish, failing  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="a fault of pika"):
        line.publish(uuid7())
    channel.basic_publish = write  # type: ignore[method-assign]
    line.publish(second)
    channel.answer(1)
    channel.answer(2)
    assert line.publisher.waiting == 0


def test_hints_before_one_that_cannot_be_written_are_watched_like_others(loop: Timers) -> None:
    line, tasks = Line(loop), [uuid7() for _ in range(2)]
    channel = line.open()
    write = channel.basic_publish

    def second_fails(*arguments: Any, **options: Any) -> None:
        if channel.task_ids:
            failing()
        write(*arguments, **options)

    channel.basic_publish = second_fails  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="a fault of pika"):
        line.publish(*tasks)
    assert (loop.pass_time(), line.reopened) == ([SILENT_SECONDS], 1), "a silent channel is given up all the same"
    assert line.open().task_ids == tasks[:1]


def failing(*_: object, **__: object) -> None:
    raise ValueError("a fault of pika")
