"""A queue is looked for before it is declared, and again after each refusal."""

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
    keeper, channel = QueueKeeper(RabbitmqSection(), "task_queue", lambda _: None), Asked()
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


def test_a_new_connection_looks_first() -> None:
    assert asked_after(MISSING, ConnectionClosedByBroker(320, "CONNECTION_FORCED")) == [False, True, False]
