"""Consuming hints: deliveries, their acks and returns, and a variable prefetch. It runs on the loop.

`basic.qos` does not change a running consumer, so each change of the prefetch cancels it and consumes again.
Each delivery has the number of its channel, so no tag of a lost channel is acked.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pika import BasicProperties
from pika.channel import Channel
from pika.spec import Basic

from dtqs.event import DeadLetter, Hint, decode_hint
from dtqs.repeated_line import RepeatedLines

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Delivery:
    """One received hint, unclaimed until it is acked. It is not frozen, since thousands come per second."""

    channel_number: int
    tag: int
    hint: Hint


def ids_of(deliveries: Sequence[Delivery]) -> list[str]:
    """Return the tasks that these name."""
    return [task_id for delivery in deliveries for task_id in delivery.hint.task_ids]


class Consumer:
    """The consumer of one queue. `numbers` gives each of its channels a number that no other channel has."""

    def __init__(
        self,
        queue: str,
        numbers: Iterator[int],
        on_delivery: Callable[[Delivery], None],
        on_cancelled: Callable[[], None],
    ) -> None:
        self._queue, self._numbers = queue, numbers
        self._on_delivery, self._on_cancelled = on_delivery, on_cancelled
        self._foreign = RepeatedLines(logger)
        self._channel: Channel | None = None
        self._number = 0
        self._consumer_tag: str | None = None
        self._prefetch, self._wanted, self._changing = 0, 0, False

    def attach(self, channel: Channel) -> None:
        """Use a new channel; the queue exists."""
        self._channel, self._consumer_tag, self._prefetch, self._changing = channel, None, 0, False
        self._number = next(self._numbers)
        channel.add_on_cancel_callback(self._cancelled_by_broker)
        self._apply()

    def detach(self) -> None:
        self._channel, self._consumer_tag, self._prefetch, self._changing = None, None, 0, False

    @property
    def channel_number(self) -> int:
        """The number of the newest channel."""
        return self._number

    def want(self, prefetch: int) -> None:
        """Hold at most `prefetch` unacked deliveries from now on. 0: consume nothing."""
        self._wanted = prefetch
        self._apply()

    def ack(self, delivery: Delivery) -> None:
        """Ack this delivery and all before it, which are claimed in order."""
        if self._channel is not None and delivery.channel_number == self._number:
            self._channel.basic_ack(delivery.tag, multiple=True)

    def give_up(self, deliveries: Sequence[Delivery]) -> None:
        """Return deliveries unclaimed, so that other workers get them."""
        for delivery in deliveries:
            if self._channel is not None and delivery.channel_number == self._number:
                self._channel.basic_nack(delivery.tag, requeue=True)

    def _apply(self) -> None:
        channel = self._channel
        if channel is None or self._changing or self._prefetch == self._wanted:
            return
        self._changing = True
        if self._consumer_tag is not None:
            channel.basic_cancel(self._consumer_tag, callback=self._cancelled)
        else:
            self._consume()

    def _cancelled(self, _: Any) -> None:
        self._consumer_tag, self._prefetch = None, 0
        if self._wanted:
            self._consume()
        else:
            self._changing = False

    def _consume(self) -> None:
        prefetch, channel = self._wanted, self._channel
        if channel is None or not prefetch:
            self._changing = False
            return

        def consuming(_: Any) -> None:
            self._prefetch, self._changing = prefetch, False
            self._apply()

        channel.basic_qos(prefetch_count=prefetch)
        self._consumer_tag = channel.basic_consume(self._queue, self._delivered, callback=consuming)

    def _delivered(self, channel: Channel, method: Basic.Deliver, _: BasicProperties, body: bytes) -> None:
        tag = method.delivery_tag or 0
        try:
            delivery = Delivery(self._number, tag, decode_hint(body))
        except DeadLetter:
            self._foreign.tell(logging.ERROR, "dead letter dropped", size_bytes=len(body))
            channel.basic_nack(tag, requeue=False)
            return
        if self._wanted:
            self._on_delivery(delivery)
        else:
            channel.basic_nack(tag, requeue=True)

    def _cancelled_by_broker(self, _: Any) -> None:
        """Note that the queue was deleted or moved."""
        self.detach()
        self._on_cancelled()
