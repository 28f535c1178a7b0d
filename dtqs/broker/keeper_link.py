"""A keeper's two connections in an I/O thread: one publishes with confirms, one, which never publishes and so is never blocked, looks at the queue."""

import contextlib
from collections.abc import Callable, Sequence

from pika.channel import Channel

from dtqs.broker.loop.connection import BrokerConnection
from dtqs.broker.loop.threads import ThreadLoop
from dtqs.broker.publisher import Confirmed, Publisher
from dtqs.broker.queue import QueueKeeper, QueueLook, look
from dtqs.broker.topology import parameters
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable
from dtqs.event import LogRef
from dtqs.task import Due


class KeeperLink:
    def __init__(self, section: RabbitmqSection, name: str, on_queue_missing: Callable[[], None]) -> None:
        self._loop = ThreadLoop("broker")
        self._queue = QueueKeeper(section, on_queue_missing)
        self._ready = False
        looks, speaks = f"{name} looks", f"{name} publishes"
        self._publisher = Publisher(lambda: self._speaking.state == "connected", self._idle)
        self._looking = BrokerConnection(self._loop, parameters(section, looks), looks, self._on_channel, self._on_lost)
        self._speaking = BrokerConnection(
            self._loop,
            parameters(section, speaks),
            speaks,
            self._publisher.attach,
            lambda _: self._publisher.detach(),
            self._idle,
        )
        self._idle_replies: list[Callable[[bool], None]] = []

    def start(self) -> None:
        self._loop.start()
        self._loop.call(self._looking.start)
        self._loop.call(self._speaking.start)

    def stop(self, deadline: Deadline) -> None:
        self._loop.call(self._looking.stop)
        self._loop.call(self._speaking.stop)
        self._loop.stop(deadline)

    @property
    def can_publish(self) -> bool:
        """The broker takes messages and the queue is there; while not, the backlog keeps what is due."""
        return self._speaking.state == "connected" and self._speaking.channel is not None and self._ready

    def look(self, deadline: Deadline) -> QueueLook:
        """Raises BrokerUnavailable: away, or the queue is missing and is just being declared."""

        if not self._ready:
            raise BrokerUnavailable("RabbitMQ is away, or its queue is just being declared")

        def question(reply: Callable[[QueueLook], None]) -> None:
            if self._looking.channel is not None:
                look(self._looking.channel, reply)

        return self._loop.ask(question, deadline)

    def publish_hints(self, dues: Sequence[Due], deadline: Deadline) -> list[Confirmed]:
        """Publish and wait for the confirms until the deadline or an alarm; returns what was confirmed, which may come from earlier calls too."""

        def question(reply: Callable[[bool], None]) -> None:
            # none were published: in an alarm, and what waits for its confirm already may wait for long
            if self._publisher.publish_hints(dues) and self._publisher.waiting:
                self._idle_replies.append(reply)
            else:
                reply(True)

        with contextlib.suppress(BrokerUnavailable):  # what was confirmed until now is confirmed
            self._loop.ask(question, deadline)
        return self._loop.ask(lambda reply: reply(self._publisher.take_confirmed()), Deadline(1.0))

    def publish_events(self, rows: Sequence[LogRef]) -> None:
        self._loop.call(lambda: self._publisher.publish_events(rows))

    def _idle(self) -> None:
        replies, self._idle_replies = self._idle_replies, []
        for reply in replies:
            reply(True)

    def _on_channel(self, channel: Channel) -> None:
        self._queue.ensure(channel, self._is_there)

    def _is_there(self) -> None:
        self._ready = True

    def _on_lost(self, reason: BaseException) -> None:
        self._ready = False
        self._queue.lost(reason)
