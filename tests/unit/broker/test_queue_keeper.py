"""A queue is looked for before it is declared, and again after each refusal."""

import time
from collections.abc import Callable
from typing import Any, cast

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

from dtqs.broker.queue import QueueKeeper
from dtqs.config import RabbitmqSection

MISSING = ChannelClosedByBroker(404, "NOT_FOUND - no queue 'task_queue' in vhost '/'")
OTHER_TYPE = ChannelClosedByBroker(406, "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'task_queue'")
NO_NODE = ChannelClosedByBroker(404, "NOT_FOUND - home node 'one' of durable queue 'task_queue' is down")


class Asked:
    """A channel that notes whether it was asked for a queue, or to declare one."""

    def __init__(self) -> None:
        self.connection, self.server_properties = self, {"version": "4.0.5"}
        self.declares: list[bool] = []

    def queue_declare(self, _: str, passive: bool = False, **__: Any) -> None:
        self.declares.append(not passive)


def asked_after(*losses: BaseException) -> list[bool]:
    """Return for each channel whether the queue was declared; each but the last is lost for one of these reasons."""
    keeper, channel = QueueKeeper(RabbitmqSection(), "task_queue", lambda *_: None), Asked()
    keeper.ensure(cast(Channel, channel), lambda: None)
    for loss in losses:
        keeper.lost(loss)
        keeper.ensure(cast(Channel, channel), lambda: None)
    return channel.declares


def test_a_missing_queue_is_declared() -> None:
    assert asked_after(MISSING) == [False, True]


def test_a_queue_that_exists_and_does_not_serve_is_not_declared() -> None:
    assert asked_after(NO_NODE) == [False, False]


def test_a_process_that_lost_the_race_for_a_declare_finds_the_queue_of_the_other_type() -> None:
    assert asked_after(MISSING, OTHER_TYPE) == [False, True, False]


def test_the_owner_learns_when_the_queue_was_missing() -> None:
    """Not when it was declared: by then another process may have done so, and refilled it."""
    told, declared = list[float](), list[Callable[[object], None]]()
    keeper, channel = QueueKeeper(RabbitmqSection(), "task_queue", lambda _, at: told.append(at)), Asked()
    channel.queue_declare = lambda *_, callback, **__: declared.append(callback)  # type: ignore[method-assign]
    before = time.monotonic()
    keeper.lost(MISSING)
    after = time.monotonic()
    keeper.ensure(cast(Channel, channel), lambda: None)
    time.sleep(0.001)
    declared[0](None)
    assert len(told) == 1
    assert before <= told[0] <= after


def test_a_new_connection_looks_first() -> None:
    assert asked_after(MISSING, ConnectionClosedByBroker(320, "CONNECTION_FORCED")) == [False, True, False]
