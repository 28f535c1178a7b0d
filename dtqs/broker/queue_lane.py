"""One queue of a worker: declared if it is missing, and consumed on a channel of its own. It runs on the loop.

Each queue needs its own channel, since an ack covers all earlier deliveries of its channel.
"""

from collections.abc import Callable, Iterator

from pika.channel import Channel

from dtqs.broker.consumer import Consumer
from dtqs.broker.inbox import Inbox
from dtqs.broker.queue import QueueKeeper
from dtqs.config import RabbitmqSection


class QueueLane:
    """Its owner calls `on_channel` and `on_lost`."""

    def __init__(
        self,
        section: RabbitmqSection,
        queue: str,
        numbers: Iterator[int],
        inbox: Inbox,
        on_missing: Callable[[str, float], None],
    ) -> None:
        self.consumer = Consumer(queue, numbers, inbox.put, self._reopen)
        self._keeper = QueueKeeper(section, queue, on_missing)
        self._inbox = inbox
        self._channel: Channel | None = None

    def on_channel(self, channel: Channel) -> None:
        self._channel = channel
        self._keeper.ensure(channel, lambda: self.consumer.attach(channel))

    def on_lost(self, reason: BaseException) -> None:
        self._keeper.lost(reason)
        self.consumer.detach()
        # The broker returns its deliveries to the queue. A claim would do no harm, but others may have them already.
        self._inbox.drop(self.consumer.channel_number)

    def _reopen(self) -> None:
        """Begin again on a new channel, which looks for the queue first: the broker cancelled our consumer."""
        if self._channel is not None and self._channel.is_open:
            self._channel.close()
