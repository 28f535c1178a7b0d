"""A keeper's two connections in an I/O thread. One publishes with confirms. The other looks at the queues: it never
publishes, so an alarm never blocks it.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence

from dtqs.broker.loop.connection import BrokerConnection
from dtqs.broker.loop.threads import ThreadLoop
from dtqs.broker.publisher import CONFIRMED_BYTES
from dtqs.broker.publishing import PublishingLine
from dtqs.broker.queue import Looks, QueueLook, WatchedQueue
from dtqs.broker.unkept import UnkeptHints
from dtqs.config import RabbitmqSection
from dtqs.confirmed import Confirmed
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable
from dtqs.event import LogRef
from dtqs.routes import NO_ROUTES, Routes
from dtqs.task import Due


class KeeperLink:
    def __init__(
        self,
        section: RabbitmqSection,
        name: str,
        on_queue_missing: Callable[[str, float], None],
        routes: Routes = NO_ROUTES,
    ) -> None:
        self._loop = ThreadLoop("broker")
        self._queues = [WatchedQueue(section, queue, on_queue_missing) for queue in routes.queues]
        first, *others = self._queues
        self._looking = BrokerConnection(self._loop, section, f"{name} looks", first.on_channel, first.on_lost)
        for queue in others:
            self._looking.add_lane(queue.on_channel, queue.on_lost)
        self._publishing = PublishingLine(self._loop, section, f"{name} publishes", routes, CONFIRMED_BYTES)
        self._unkept = UnkeptHints(self._publishing.publisher)

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
        """The broker takes messages and a queue exists. Otherwise the backlog keeps the due tasks.

        The broker returns the hints for a queue that is missing or refused, and the backlog keeps their tasks too.
        """
        connection = self._publishing.connection
        return connection.state == "connected" and connection.channel is not None and self._one_exists

    def look(self, deadline: Deadline) -> Looks:
        """Look at the queues that exist. Raises BrokerUnavailable: the broker is away, or declares its first queue."""
        if not self._one_exists:
            raise BrokerUnavailable("RabbitMQ is away, or a queue is being declared")

        def question(reply: Callable[[Looks], None]) -> None:
            found: dict[str, QueueLook | None] = {}

            def answered(name: str, look: QueueLook | None) -> None:
                found[name] = look
                if len(found) == len(self._queues):
                    reply({name: look for name, look in found.items() if look})

            for queue in self._queues:
                queue.look(functools.partial(answered, queue.name))

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

    def offer_hints(self, dues: Sequence[Due]) -> None:
        """Publish hints without waiting, as far as there is room. The relay publishes the rest.

        The next `publish_hints` returns their confirms.
        """
        self._loop.call(functools.partial(self._offer, dues))

    def unkept(self, deadline: Deadline) -> list[str]:
        """Return the queues whose hints the broker does not keep. Raises BrokerUnavailable."""
        return self._loop.ask(lambda reply: reply(self._unkept.look()), deadline)

    def publish_events(self, rows: Sequence[LogRef]) -> None:
        self._loop.call(lambda: self._publishing.publisher.publish_events(rows))

    def _offer(self, dues: Sequence[Due]) -> None:
        self._publishing.publisher.publish_hints(dues)

    @property
    def _one_exists(self) -> bool:
        return any(queue.exists for queue in self._queues)
