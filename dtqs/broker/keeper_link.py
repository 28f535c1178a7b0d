"""A keeper's two connections in an I/O thread. One publishes with confirms. The other looks at the queue: it never
publishes, so an alarm never blocks it.
"""

import contextlib
from collections.abc import Callable, Sequence

from pika.channel import Channel

from dtqs.broker.loop.connection import BrokerConnection
from dtqs.broker.loop.threads import ThreadLoop
from dtqs.broker.publisher import Confirmed
from dtqs.broker.publishing import PublishingLine
from dtqs.broker.queue import QueueKeeper, QueueLook, look
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable
from dtqs.event import LogRef
from dtqs.task import Due


class KeeperLink:
    def __init__(self, section: RabbitmqSection, name: str, on_queue_missing: Callable[[], None]) -> None:
        self._loop = ThreadLoop("broker")
        self._queue = QueueKeeper(section, on_queue_missing)
        self._queue_exists = False
        self._looking = BrokerConnection(self._loop, section, f"{name} looks", self._on_channel, self._on_lost)
        self._publishing = PublishingLine(self._loop, section, f"{name} publishes")

    def start(self) -> None:
        self._loop.start()
        self._loop.call(self._looking.start)
        self._loop.call(self._publishing.connection.start)

    def stop(self, deadline: Deadline) -> None:
        self._loop.call(self._looking.stop)
        self._loop.call(self._publishing.connection.stop)
        self._loop.stop(deadline)

    @property
    def state(self) -> str:
        """connected, blocked, or away: the worse one of its connections."""
        return "away" if self._looking.state == "away" else self._publishing.connection.state

    @property
    def can_publish(self) -> bool:
        """The broker takes messages and the queue exists. Otherwise the backlog keeps the due tasks."""
        connection = self._publishing.connection
        return connection.state == "connected" and connection.channel is not None and self._queue_exists

    def look(self, deadline: Deadline) -> QueueLook:
        """Look at the queue. Raises BrokerUnavailable: the broker is away, or the queue is being declared."""
        if not self._queue_exists:
            raise BrokerUnavailable("RabbitMQ is away, or its queue is being declared")

        def question(reply: Callable[[QueueLook], None]) -> None:
            if self._looking.channel is not None:
                look(self._looking.channel, reply)

        return self._loop.ask(question, deadline)

    def publish_hints(self, dues: Sequence[Due], deadline: Deadline) -> list[Confirmed]:
        """Publish and wait for the confirms, until the deadline or an alarm.

        Returns the confirmed hints, also those of earlier calls.
        """

        def question(reply: Callable[[bool], None]) -> None:
            self._publishing.publish_and_wait(dues, reply)

        with contextlib.suppress(BrokerUnavailable):  # some hints may be confirmed even then
            self._loop.ask(question, deadline)
        return self._loop.ask(lambda reply: reply(self._publishing.publisher.take_confirmed()), Deadline(1.0))

    def publish_events(self, rows: Sequence[LogRef]) -> None:
        self._loop.call(lambda: self._publishing.publisher.publish_events(rows))

    def _on_channel(self, channel: Channel) -> None:
        self._queue.ensure(channel, self._on_queue)

    def _on_queue(self) -> None:
        self._queue_exists = True

    def _on_lost(self, reason: BaseException) -> None:
        self._queue_exists = False
        self._queue.lost(reason)
