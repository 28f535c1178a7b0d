"""The task queue: look whether it exists before declaring it. If it was missing, everything due must be published
again, so the keeper is told.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker
from pika.frame import Method

from dtqs.broker.loop.connection import is_missing
from dtqs.broker.topology import QUEUE, queue_arguments
from dtqs.config import RabbitmqSection


@dataclass(frozen=True, slots=True)
class QueueLook:
    """The result of a passive declare: messages ready for delivery, and consumers."""

    ready: int
    consumers: int


class QueueKeeper:
    """Declares the queue on the channels of a connection.

    A failed passive declare closes its channel, so the declaration follows on the next one.
    """

    def __init__(self, section: RabbitmqSection, on_missing: Callable[[], None]) -> None:
        self._section, self._on_missing = section, on_missing
        self._missing = False

    def ensure(self, channel: Channel, then: Callable[[], None]) -> None:
        """Call `then` if the queue exists. Otherwise the channel closes: call this again with the next one."""
        if self._missing:
            arguments = queue_arguments(self._section, channel.connection.server_properties)
            channel.queue_declare(QUEUE, durable=True, arguments=arguments, callback=lambda _: self._declared(then))
        else:
            channel.queue_declare(QUEUE, passive=True, callback=lambda _: then())

    def lost(self, reason: BaseException) -> None:
        """Note whether the channel closed because the queue is missing."""
        self._missing = is_missing(reason) if isinstance(reason, ChannelClosedByBroker) else self._missing

    def _declared(self, then: Callable[[], None]) -> None:
        self._missing = False
        self._on_missing()
        then()


def look(channel: Channel, reply: Callable[[QueueLook], None]) -> None:
    """Declare the queue passively. If it is missing, the channel closes and no answer comes."""

    def answered(frame: Method) -> None:
        reply(QueueLook(frame.method.message_count, frame.method.consumer_count))

    channel.queue_declare(QUEUE, passive=True, callback=answered)
