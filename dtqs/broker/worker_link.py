"""A worker's two connections on one loop: one consumes and acks, one only publishes; in an alarm the broker stops reading one that has published.

The I/O thread serves the loop while the main thread runs a task; while that waits for one it serves the loop itself, and keeps it through tiny ones.
"""

import contextlib
from collections.abc import Callable, Sequence

from pika.channel import Channel
from pika.spec import Basic

from dtqs.broker.consumer import Consumer, Delivery
from dtqs.broker.inbox import Inbox
from dtqs.broker.loop.connection import BrokerConnection
from dtqs.broker.loop.shared import SharedThreadLoop
from dtqs.broker.publisher import Publisher
from dtqs.broker.queue import QueueKeeper
from dtqs.broker.topology import CONTROL, declare_exchanges, parameters
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable
from dtqs.event import DeadLetter, LogRef, decode_cancel
from dtqs.task import Due


class WorkerLink:
    """What a worker asks of the broker; nothing here blocks but `stop` and `publish_hints`, which take a deadline."""

    def __init__(
        self,
        section: RabbitmqSection,
        name: str,
        on_cancel: Callable[[list[str]], None],
        on_queue_missing: Callable[[], None],
    ) -> None:
        self.inbox = Inbox()
        self._on_cancel = on_cancel
        self._loop = SharedThreadLoop("broker")
        self._consumer = Consumer(self.inbox.put, self._reopen)
        self._queue = QueueKeeper(section, on_queue_missing)
        hears, speaks = f"{name} consumes", f"{name} publishes"
        self._publisher = Publisher(lambda: self._speaking.state == "connected", self._idle)
        self._hearing = BrokerConnection(
            self._loop, parameters(section, hears), hears, self._on_consuming_channel, self._on_consuming_lost
        )
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
        self._loop.call(self._hearing.start)
        self._loop.call(self._speaking.start)

    def stop(self, deadline: Deadline) -> None:
        """Close both connections, after what was said before. Unclaimed deliveries go back to the queue."""

        def close(reply: Callable[[bool], None]) -> None:
            self._hearing.stop()
            self._speaking.stop()
            self._when_closed(reply)

        with contextlib.suppress(BrokerUnavailable):  # it is away: there is nothing to close
            self._loop.ask(close, Deadline(min(1.0, deadline.remaining)))
        self._loop.stop(deadline)

    def wait(self, seconds: float) -> None:
        """Wait until a delivery is in the inbox, somebody wakes us, or the time is over. The main thread's; it serves the loop, and keeps it until `serve`."""
        self._loop.lead(self.inbox.has_any, seconds)

    def wake(self) -> None:
        """Have the main thread's wait end; safe in a signal handler."""
        self._loop.ring()

    def serve(self) -> None:
        """From now on the I/O thread serves the loop, until the main thread waits again."""
        self._loop.release()

    def consume(self, prefetch: int) -> None:
        """Hold at most so many unclaimed deliveries from now on."""
        self._loop.call(lambda: self._consumer.want(prefetch))

    def pause(self) -> None:
        """Consume nothing from now on and return every unclaimed delivery."""
        self._loop.call(self._pause)
        self._loop.release()

    def ack(self, delivery: Delivery) -> None:
        """Ack it and all before it. The main thread's, and not from an attempt."""
        self._loop.now(lambda: self._consumer.ack(delivery))

    def give_up(self, deliveries: Sequence[Delivery]) -> None:
        """Return these unclaimed."""
        self._loop.call(lambda: self._consumer.give_up(deliveries))
        self._loop.release()

    def publish_events(self, rows: Sequence[LogRef]) -> None:
        self._loop.call(lambda: self._publisher.publish_events(rows))

    def publish_events_now(self, rows: Sequence[LogRef]) -> None:
        """The same in the calling thread, sooner; not from an attempt, which may be interrupted anywhere."""
        self._loop.now(lambda: self._publisher.publish_events(rows))

    def publish_hints(self, dues: Sequence[Due], deadline: Deadline) -> None:
        """Publish hints and wait for their confirms, or until the deadline: the relay is the safety net."""

        def question(reply: Callable[[bool], None]) -> None:
            if self._speaking.channel is None and not deadline.passed:
                self._loop.later(0.02, lambda: question(reply))  # a fresh process: the connection is on its way
                return
            # none were published: the broker is blocked, and what waits for its confirm already may wait for long
            if self._publisher.publish_hints(dues) and self._publisher.waiting:
                self._idle_replies.append(reply)
            else:
                reply(True)

        try:
            self._loop.ask(question, deadline)
        except BrokerUnavailable:
            return

    def _pause(self) -> None:
        self._consumer.want(0)
        self._consumer.give_up(self.inbox.empty())

    def _idle(self) -> None:
        replies, self._idle_replies = self._idle_replies, []
        for reply in replies:
            reply(True)

    def _on_consuming_channel(self, channel: Channel) -> None:
        self._queue.ensure(channel, lambda: self._consume_on(channel))

    def _consume_on(self, channel: Channel) -> None:
        declare_exchanges(channel)
        channel.queue_declare(
            "", exclusive=True, callback=lambda frame: self._hear_control(channel, frame.method.queue)
        )
        self._consumer.attach(channel)

    def _hear_control(self, channel: Channel, queue: str) -> None:
        channel.queue_bind(queue, CONTROL)
        channel.basic_consume(queue, self._control, auto_ack=True)

    def _control(self, _: Channel, __: Basic.Deliver, ___: object, body: bytes) -> None:
        try:
            self._on_cancel(decode_cancel(body))
        except DeadLetter:
            return  # from a version that knows more

    def _on_consuming_lost(self, reason: BaseException) -> None:
        self._queue.lost(reason)
        self._consumer.detach()
        # what was delivered on it goes back to the queue by itself; claiming it would do no harm, but others may have it already
        self.inbox.empty()

    def _reopen(self) -> None:
        """The broker cancelled our consumer: begin anew on a fresh channel, which looks for the queue first."""
        channel = self._hearing.channel
        if channel is not None and channel.is_open:
            channel.close()

    def _when_closed(self, reply: Callable[[bool], None]) -> None:
        if self._hearing.closed and self._speaking.closed:
            reply(True)
        else:
            self._loop.later(0.02, lambda: self._when_closed(reply))
