"""An API process's two connections on gevent's loop: one consumes task_events from a queue of its own, one publishes. Nothing here blocks but `stop`."""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

import gevent
from pika.adapters.gevent_connection import _GeventSelectorIOLoop
from pika.channel import Channel
from pika.connection import Connection, Parameters
from pika.spec import Basic

from dtqs.broker.loop.connection import BrokerConnection
from dtqs.broker.loop.prompt import JoinedGeventConnection, PromptGeventServices, when_open
from dtqs.broker.publisher import Confirmed, Publisher
from dtqs.broker.topology import EVENTS, EVENTS_LENGTH, declare_exchanges, parameters
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.event import DeadLetter, LogRef, TaskEvent, decode_events
from dtqs.task import Due

logger = logging.getLogger(__name__)


class _GeventLoop:
    def open(
        self,
        to: Parameters,
        opened: Callable[[Any], None],
        failed: Callable[[Any, Any], None],
        closed: Callable[[Any, Any], None],
    ) -> Connection:
        services = PromptGeventServices(_GeventSelectorIOLoop(gevent.get_hub()))
        return JoinedGeventConnection(to, when_open(services, opened), failed, closed, custom_ioloop=services)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        gevent.spawn_later(seconds, call)


class ApiLink:
    """`on_events` gets what workers, keepers and APIs said of `watched` tasks; it runs on the hub's callbacks and must not wait."""

    def __init__(
        self,
        section: RabbitmqSection,
        name: str,
        watched: Collection[str],
        on_events: Callable[[list[TaskEvent]], None],
    ) -> None:
        self._watched, self._on_events = watched, on_events
        loop = _GeventLoop()
        hears, speaks = f"{name} consumes", f"{name} publishes"
        self._publisher = Publisher(lambda: self._speaking.state == "connected")
        self._hearing = BrokerConnection(
            loop, parameters(section, hears), hears, self._on_consuming_channel, lambda _: None
        )
        self._speaking = BrokerConnection(
            loop, parameters(section, speaks), speaks, self._publisher.attach, lambda _: self._publisher.detach()
        )

    def start(self) -> None:
        self._hearing.start()
        self._speaking.start()

    def stop(self, deadline: Deadline) -> None:
        self._hearing.stop()
        self._speaking.stop()
        while not (self._hearing.closed and self._speaking.closed) and not deadline.passed:
            gevent.sleep(0.01)

    @property
    def state(self) -> str:
        """connected, blocked (an alarm: submits are accepted, the relay publishes later), refused (no permission) or away."""
        if self._hearing.refusal or self._speaking.refusal:
            return "refused"
        return "away" if self._hearing.state == "away" else self._speaking.state

    @property
    def since(self) -> float:
        """When that state began, on the monotonic clock."""
        return max(self._hearing.since, self._speaking.since)

    def publish_hints(self, dues: Sequence[Due]) -> int:
        """Publish what there is room for; returns how many tasks that were. The relay publishes the rest."""
        return self._publisher.publish_hints(dues)

    def publish_events(self, rows: Sequence[LogRef]) -> None:
        self._publisher.publish_events(rows)

    def publish_cancel(self, task_ids: Sequence[str]) -> None:
        self._publisher.publish_cancel(task_ids)

    def confirmed(self) -> list[Confirmed]:
        """Return what the broker has confirmed since the last call, for far_out shortly before the grace ends."""
        return self._publisher.take_confirmed()

    def _on_consuming_channel(self, channel: Channel) -> None:
        declare_exchanges(channel)
        arguments = {"x-max-length": EVENTS_LENGTH, "x-overflow": "drop-head"}
        channel.queue_declare(
            "",
            exclusive=True,
            arguments=arguments,
            callback=lambda frame: self._hear_events(channel, frame.method.queue),
        )

    def _hear_events(self, channel: Channel, queue: str) -> None:
        channel.queue_bind(queue, EVENTS)
        channel.basic_consume(queue, self._event, auto_ack=True)

    def _event(self, _: Channel, __: Basic.Deliver, ___: object, body: bytes) -> None:
        if not self._watched:
            return  # nobody asked: what a batch's message costs should be next to nothing then
        try:
            events = decode_events(body, self._watched)
        except DeadLetter:
            logger.error("dead letter dropped", extra={"size_bytes": len(body)})
            return
        if events:
            self._on_events(events)
