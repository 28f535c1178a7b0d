"""Look at one queue again and again, on a channel of its own.

A refused look closes its channel. A queue whose node is down gives no answer for a minute on RabbitMQ 4, and then a
refusal. Until then its channel serves nothing else.
"""

from collections.abc import Callable

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from dtqs.broker.loop.connection import BrokerConnection, is_missing, refusal_words
from dtqs.broker.queue import QueueLook, look_at

Found = QueueLook | str | None
"""The result of a look. None: the queue is missing. A text: why it exists and does not serve."""


class QueueProbe:
    """All of it runs on the loop."""

    def __init__(self, connection: BrokerConnection, queue: str) -> None:
        self._connection, self._queue = connection, queue
        self._channel: Channel | None = None
        self._reply: Callable[[Found], None] | None = None
        self._asked_on = 0

    @property
    def waits(self) -> bool:
        """Whether the last question has no answer yet."""
        return self._reply is not None and self._asked_on == self._connection.openings

    @property
    def silence(self) -> str:
        """The words on a queue that gives no answer."""
        return f"{self._queue} gives no answer, so the node that holds it is down or hangs"

    def ask(self, reply: Callable[[Found], None]) -> None:
        """Look at the queue. No reply comes if the connection is lost. Ask nothing while this waits."""
        self._reply, self._asked_on = reply, self._connection.openings
        if self._channel is not None:
            look_at(self._channel, self._queue, self._answer)
        else:
            self._connection.open_channel(self._opened)

    def _opened(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._closed)
        look_at(channel, self._queue, self._answer)

    def _closed(self, channel: Channel, reason: BaseException) -> None:
        if channel is not self._channel:
            return
        self._channel = None
        if isinstance(reason, ChannelClosedByBroker):
            self._answer(None if is_missing(reason) else refusal_words(reason))
        else:
            self._reply = None

    def _answer(self, found: Found) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply(found)
