"""An API process's two connections on gevent's loop: one consumes task_events from a queue of its own, one publishes.

Only `stop` blocks.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

import gevent
from pika.channel import Channel
from pika.connection import Connection, Parameters
from pika.spec import Basic

from dtqs.broker.loop.connection import BrokerConnection
from dtqs.broker.loop.pika_gevent_parts import open_gevent_connection
from dtqs.broker.own_queue import hear
from dtqs.broker.publisher import CONFIRMED_BYTES
from dtqs.broker.publishing import PublishingLine
from dtqs.broker.queue_homes import QueueHomes
from dtqs.broker.topology import EVENTS, EVENTS_BYTES, EVENTS_LENGTH
from dtqs.broker.unkept import UnkeptHints
from dtqs.config import RabbitmqSection
from dtqs.confirmed import Confirmed
from dtqs.deadline import Deadline
from dtqs.event import DeadLetter, LogRef, TaskEvent, decode_events
from dtqs.repeated_line import RepeatedLines
from dtqs.routes import NO_ROUTES, Routes
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
        return open_gevent_connection(to, opened, failed, closed)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        gevent.spawn_later(seconds, call)


class ApiLink:
    """`on_events` gets the events of `watched` tasks. It runs on the hub's callbacks and must not wait."""

    def __init__(
        self,
        section: RabbitmqSection,
        name: str,
        watched: Collection[str],
        on_events: Callable[[list[TaskEvent]], None],
        routes: Routes = NO_ROUTES,
        is_genuine: Callable[[str, str], bool] = lambda signature, outcomes: False,
    ) -> None:
        """`is_genuine` judges the signature of outcomes in an event."""
        self._watched, self._on_events, self._is_genuine = watched, on_events, is_genuine
        self._foreign = RepeatedLines(logger)
        loop = _GeventLoop()
        self._consuming = BrokerConnection(loop, section, f"{name} consumes", self._on_consuming_channel)
        line = PublishingLine(loop, section, f"{name} publishes", routes, CONFIRMED_BYTES)
        self._publishing, self._publisher = line.connection, line.publisher
        self._homes = QueueHomes(loop, self._consuming, routes.queues, UnkeptHints(line.publisher))

    def start(self) -> None:
        self._consuming.start()
        self._publishing.start()
        self._homes.start()

    def stop(self, deadline: Deadline) -> None:
        self._homes.stop()
        self._consuming.stop()
        self._publishing.stop()
        while not (self._consuming.closed and self._publishing.closed) and not deadline.passed:
            gevent.sleep(0.01)

    @property
    def state(self) -> str:
        """connected, blocked, refused (no permission) or away.

        Blocked means an alarm: submits are accepted, and the relay publishes later.
        """
        if self._consuming.refusal or self._publishing.refusal:
            return "refused"
        return "away" if self._consuming.state == "away" else self._publishing.state

    @property
    def down(self) -> str | None:
        """The reasons why queues exist and do not serve, or None."""
        return self._homes.down

    @property
    def since(self) -> float:
        """The beginning of that state, on the monotonic clock."""
        return max(self._consuming.since, self._publishing.since)

    def publish_hints(self, dues: Sequence[Due]) -> int:
        """Publish as many hints as there is room for, and return the number of their tasks.

        The relay publishes the rest.
        """
        return self._publisher.publish_hints(dues)

    def publish_events(self, rows: Sequence[LogRef]) -> None:
        self._publisher.publish_events(rows)

    def publish_cancel(self, task_ids: Sequence[str]) -> None:
        self._publisher.publish_cancel(task_ids)

    def confirmed(self) -> list[Confirmed]:
        """Return the hints confirmed since the last call, for far_out shortly before the grace ends."""
        return self._publisher.take_confirmed()

    def _on_consuming_channel(self, channel: Channel) -> None:
        hear(channel, EVENTS, EVENTS_LENGTH, EVENTS_BYTES, self._on_message)

    def _on_message(self, _: Channel, __: Basic.Deliver, ___: object, body: bytes) -> None:
        if not self._watched:
            return  # without watchers the message of a batch must cost next to nothing
        try:
            events = decode_events(body, self._watched, self._is_genuine)
        except DeadLetter:
            self._foreign.tell(logging.ERROR, "dead letter dropped", size_bytes=len(body))
            return
        if events:
            self._on_events(events)
