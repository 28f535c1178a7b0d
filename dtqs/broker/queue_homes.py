"""An API process's look at the queues' homes. It declares nothing: /readyz shows what the broker says."""

from collections.abc import Callable, Sequence

from pika.channel import Channel

from dtqs.broker.loop.connection import BrokerConnection, Loop, down_words
from dtqs.broker.queue import look_at

_LOOK_SECONDS = 5.0


class QueueHomes:
    """Looks every five seconds on a channel of its own, since a refused look closes its channel."""

    def __init__(self, loop: Loop, connection: BrokerConnection, queues: Sequence[str]) -> None:
        self._loop, self._connection, self._queues = loop, connection, queues
        self._down: dict[str, str] = {}
        self._open: set[str] = set()
        self._stopped = False

    @property
    def down(self) -> str | None:
        """The broker's words on the queues whose home node is down, or None."""
        return "; ".join(self._down.values()) or None

    def start(self) -> None:
        """Look, now and again until `stop`."""
        if self._stopped:
            return
        for queue in self._queues:
            if queue not in self._open:  # a node that hangs gives no answer, and channels must not pile up
                self._connection.open_channel(self._looking_at(queue))
        self._loop.later(_LOOK_SECONDS, self.start)

    def stop(self) -> None:
        self._stopped = True

    def _looking_at(self, queue: str) -> Callable[[Channel], None]:
        def closed(_: Channel, reason: BaseException) -> None:
            self._open.discard(queue)
            words = down_words(reason)
            if words is None:
                self._down.pop(queue, None)
            else:
                self._down[queue] = words

        def opened(channel: Channel) -> None:
            self._open.add(queue)
            channel.add_on_close_callback(closed)
            look_at(channel, queue, lambda _: channel.close())

        return opened
