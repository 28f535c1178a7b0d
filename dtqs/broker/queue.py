"""A queue of hints: look whether it exists before declaring it. If it was missing, everything due in it must be
published again, so the keeper is told.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pika.channel import Channel
from pika.frame import Method

from dtqs.broker.loop.connection import is_missing
from dtqs.broker.topology import queue_arguments
from dtqs.config import RabbitmqSection


@dataclass(frozen=True, slots=True)
class QueueLook:
    """The result of a passive declare: messages ready for delivery, and consumers."""

    ready: int
    consumers: int


Looks = dict[str, QueueLook]


class QueueKeeper:
    """Declares one queue on the channels of a connection.

    A failed passive declare closes its channel, so the declaration follows on the next one.
    """

    def __init__(self, section: RabbitmqSection, queue: str, on_missing: Callable[[str, float], None]) -> None:
        """`on_missing` gets the queue and when it was missing (monotonic)."""
        self._section, self._queue, self._on_missing = section, queue, on_missing
        self._missed_at: float | None = None

    def ensure(self, channel: Channel, then: Callable[[], None]) -> None:
        """Call `then` if the queue exists. Otherwise the channel closes: call this again with the next one."""

        missed_at = self._missed_at

        def declared(_: object) -> None:
            self._missed_at = None
            self._on_missing(self._queue, missed_at or 0.0)
            then()

        if missed_at is not None:
            arguments = queue_arguments(self._section, channel.connection.server_properties)
            channel.queue_declare(self._queue, durable=True, arguments=arguments, callback=declared)
        else:
            channel.queue_declare(self._queue, passive=True, callback=lambda _: then())

    def lost(self, reason: BaseException) -> None:
        """Note whether the channel closed because the queue is missing.

        After a refused declare the queue may exist: another process has made it, perhaps of another type.
        """
        self._missed_at = time.monotonic() if is_missing(reason) else None


class WatchedQueue:
    """A queue that a keeper declares and looks at, on a channel of its own: the others go on if this one is refused.

    Its owner calls `on_channel` and `on_lost`.
    """

    def __init__(self, section: RabbitmqSection, name: str, on_missing: Callable[[str, float], None]) -> None:
        self.name, self.exists = name, False
        self._keeper = QueueKeeper(section, name, on_missing)
        self._channel: Channel | None = None
        self._asked: list[Callable[[QueueLook | None], None]] = []

    def on_channel(self, channel: Channel) -> None:
        self._keeper.ensure(channel, lambda: self._found(channel))

    def on_lost(self, reason: BaseException) -> None:
        self._channel, self.exists = None, False
        self._keeper.lost(reason)
        asked, self._asked = self._asked, []
        for answer in asked:
            answer(None)

    def look(self, answer: Callable[[QueueLook | None], None]) -> None:
        """Look at the queue; None if it is missing or refused, or if an earlier look has no answer yet."""
        if self._channel is None or self._asked:
            answer(None)
        else:
            self._asked.append(answer)
            look_at(self._channel, self.name, lambda look: self._asked.pop(0)(look))

    def _found(self, channel: Channel) -> None:
        self._channel, self.exists = channel, True


def look_at(channel: Channel, queue: str, reply: Callable[[QueueLook], None]) -> None:
    """Declare a queue passively. If it is missing, the channel closes and no answer comes."""

    def answered(frame: Method) -> None:
        reply(QueueLook(frame.method.message_count, frame.method.consumer_count))

    channel.queue_declare(queue, passive=True, callback=answered)
