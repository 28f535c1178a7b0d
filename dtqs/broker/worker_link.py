"""A worker's two connections on one loop. One consumes and acks, a channel per queue and one for cancels; the other
publishes, since in an alarm the broker stops reading a connection that has published. While the main thread waits for a
task, it serves the loop itself. It keeps the loop during the task; the I/O thread takes it back from a task that is not
tiny.
"""

import contextlib
import itertools
from collections.abc import Callable, Sequence

from pika.channel import Channel
from pika.spec import Basic

from dtqs.broker.consumer import Delivery
from dtqs.broker.inbox import Inbox
from dtqs.broker.loop.connection import BrokerConnection
from dtqs.broker.loop.shared import SharedThreadLoop
from dtqs.broker.own_queue import hear
from dtqs.broker.publisher import CONFIRMED_BYTES, any_type
from dtqs.broker.publishing import PublishingLine
from dtqs.broker.queue_lane import QueueLane
from dtqs.broker.topology import CONTROL, CONTROL_BYTES, CONTROL_LENGTH, QUEUE
from dtqs.config import RabbitmqSection
from dtqs.confirmed import Confirmed, task_ids
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable
from dtqs.event import DeadLetter, LogRef, SealedRow, decode_cancel
from dtqs.routes import NO_ROUTES, Routes
from dtqs.task import Due


class WorkerLink:
    """The broker as a worker uses it. Only `stop` and `publish_hints` block; they take a deadline."""

    def __init__(
        self,
        section: RabbitmqSection,
        name: str,
        on_cancel: Callable[[list[str]], None],
        on_queue_missing: Callable[[str, float], None],
        routes: Routes = NO_ROUTES,
        queues: Sequence[str] = (QUEUE,),
        most: Callable[[str], int] = any_type,
    ) -> None:
        """`most`: the number of tasks of a type that share a hint which this worker publishes."""
        self.inbox = Inbox()
        self._on_cancel = on_cancel
        self._loop = SharedThreadLoop("broker")
        numbers = itertools.count(1)
        lanes = [QueueLane(section, queue, numbers, self.inbox, on_queue_missing) for queue in queues]
        self._consumers = tuple(lane.consumer for lane in lanes)
        first, *others = lanes
        self._consuming = BrokerConnection(self._loop, section, f"{name} consumes", first.on_channel, first.on_lost)
        for lane in others:
            self._consuming.add_lane(lane.on_channel, lane.on_lost)
        # On a channel of its own: if the broker refuses it, tasks are consumed all the same. A heartbeat finds cancels.
        self._consuming.add_lane(self._hear_control, lambda _: None)
        self._publishing = PublishingLine(self._loop, section, f"{name} publishes", routes, CONFIRMED_BYTES, most)
        self._publisher = self._publishing.publisher

    def start(self) -> None:
        self._loop.start()
        self._loop.call(self._consuming.start)
        self._loop.call(self._publishing.connection.start)

    def stop(self, deadline: Deadline) -> None:
        """Close both connections, after all earlier calls. Unclaimed deliveries return to the queue."""

        def close(reply: Callable[[bool], None]) -> None:
            self._consuming.stop()
            self._publishing.connection.stop()
            self._when_closed(reply)

        with contextlib.suppress(BrokerUnavailable):  # the broker is away, so nothing is open
            self._loop.ask(close, Deadline(min(1.0, deadline.remaining)))
        self._loop.stop(deadline)

    @property
    def state(self) -> str:
        """connected, blocked, or away: the worse one of its connections."""
        return "away" if self._consuming.state == "away" else self._publishing.connection.state

    def wait(self, seconds: float) -> None:
        """Wait for a delivery in the inbox, for `wake` or for the end of the time. For the main thread.

        It serves the loop meanwhile, and keeps it until `serve`.
        """
        self._loop.lead(self.inbox.has_any, seconds)

    def wake(self) -> None:
        """End the main thread's wait. Safe in a signal handler."""
        self._loop.ring()

    def serve(self) -> None:
        """Let the I/O thread serve the loop until the main thread waits again."""
        self._loop.release()

    def consume(self, prefetch: int) -> None:
        """Hold at most `prefetch` unclaimed deliveries of each queue from now on."""
        self._loop.call(lambda: self._want(prefetch))

    def pause(self) -> None:
        """Stop consuming and return all unclaimed deliveries."""
        self._loop.call(self._pause)
        self._loop.release()

    def ack(self, delivery: Delivery) -> None:
        """Ack this delivery and all of its queue before it. For the main thread, outside an attempt."""
        self._loop.now(lambda: self._ack(delivery))

    def give_up(self, deliveries: Sequence[Delivery]) -> None:
        """Return these deliveries unclaimed."""
        self._loop.call(lambda: self._give_up(deliveries))
        self._loop.release()

    def publish_events(self, rows: Sequence[LogRef]) -> None:
        """Publish events in the I/O thread. For an attempt."""
        self._loop.call(lambda: self._publisher.publish_events(rows))
        self._loop.release()

    def publish_events_now(self, rows: Sequence[LogRef | SealedRow]) -> None:
        """Publish events at once, in the calling thread. Not from an attempt, which may be interrupted anywhere."""
        self._loop.now(lambda: self._publisher.publish_events(rows))

    def publish_hints(self, dues: Sequence[Due], deadline: Deadline) -> set[str]:
        """Publish hints and wait for their confirms until the deadline. The relay publishes the rest later.

        Returns the confirmed tasks, also those of earlier calls. Another thread that publishes may get some instead.
        """

        def question(reply: Callable[[list[Confirmed]], None]) -> None:
            def answered(_: bool) -> None:
                reply(self._publisher.take_confirmed())

            self._publishing.when_open(lambda: self._publishing.publish_and_wait(dues, answered), deadline)

        try:
            return task_ids(self._loop.ask(question, deadline))
        except BrokerUnavailable:
            return set()

    def _pause(self) -> None:
        self._want(0)
        self._give_up(self.inbox.empty())

    def _want(self, prefetch: int) -> None:
        for consumer in self._consumers:
            consumer.want(prefetch)

    def _ack(self, delivery: Delivery) -> None:
        for consumer in self._consumers:
            consumer.ack(delivery)  # the others do not know its channel

    def _give_up(self, deliveries: Sequence[Delivery]) -> None:
        for consumer in self._consumers:
            consumer.give_up(deliveries)

    def _hear_control(self, channel: Channel) -> None:
        hear(channel, CONTROL, CONTROL_LENGTH, CONTROL_BYTES, self._on_control)

    def _on_control(self, _: Channel, __: Basic.Deliver, ___: object, body: bytes) -> None:
        try:
            self._on_cancel(decode_cancel(body))
        except DeadLetter:
            return  # a newer version sent it

    def _when_closed(self, reply: Callable[[bool], None]) -> None:
        if self._consuming.closed and self._publishing.connection.closed:
            reply(True)
        else:
            self._loop.later(0.02, lambda: self._when_closed(reply))
