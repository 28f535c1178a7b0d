"""A connection with its publisher: every process that publishes has one. All of it runs on the loop."""

import functools
from collections.abc import Callable, Sequence

from pika.channel import Channel

from dtqs.broker.loop.connection import BrokerConnection, Loop
from dtqs.broker.publisher import Publisher, any_type
from dtqs.broker.unanswered import SILENT_SECONDS
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.routes import NO_ROUTES, Routes
from dtqs.task import Due

_AGAIN_SECONDS = 0.02
"""Time until the next look for a channel that is not open yet."""
_MOST_SILENT_SECONDS = 60.0
"""A channel that refuses hints, or leaves one without an answer, is given up after `SILENT_SECONDS`. This time doubles
on each such channel of a connection, up to this.
"""


class PublishingLine:
    """Publishes, and publishes again on a new channel what the broker refuses, or leaves without an answer for a while.

    A channel that opens while a quorum queue elects its leader refuses all hints from then on, since it knows only the
    dead one. Seen on RabbitMQ 3.10: the hints of an API process went nowhere until the relay published them, 5 s later.
    """

    def __init__(
        self,
        loop: Loop,
        section: RabbitmqSection,
        name: str,
        routes: Routes = NO_ROUTES,
        confirmed_bytes: int = 0,
        most: Callable[[str], int] = any_type,
    ) -> None:
        """`most`: the number of tasks of a type that share a hint."""
        self._loop = loop
        self.publisher = Publisher(
            lambda: self.connection.state == "connected", self._reply, routes, confirmed_bytes, self._watch, most
        )
        self.connection = BrokerConnection(loop, section, name, self._attach, lambda _: self._lost(), self._reply)
        self._replies: list[Callable[[bool], None]] = []
        self._patience_seconds, self._is_watching, self._watches = SILENT_SECONDS, False, 0
        self._watched: tuple[str, str] | None = None
        """The oldest hint at the beginning of the watch."""
        self._given_up: Channel | None = None

    @property
    def channel(self) -> Channel | None:
        return self.connection.channel

    def when_open(self, call: Callable[[], None], deadline: Deadline) -> None:
        """Call once the channel is open, or at the deadline without one: a new process has only begun to connect."""
        if self.channel is None and not deadline.passed:
            self._loop.later(_AGAIN_SECONDS, lambda: self.when_open(call, deadline))
        else:
            call()

    def publish_and_wait(self, dues: Sequence[Due], reply: Callable[[bool], None]) -> None:
        """Publish hints, and reply once no hint waits for its confirm, or at an alarm. Silent queues do not count.

        Reply at once if nothing was published: during an alarm the confirms of earlier hints may take long.
        """
        if self.publisher.publish_hints(dues) and self.publisher.has_awaited:
            self._replies.append(reply)
        else:
            reply(True)

    def _attach(self, channel: Channel) -> None:
        """Use a new channel. Publish again on it what the one before has not kept, if that was given up."""
        old, self._given_up = self._given_up, None
        dues = self.publisher.unkept if old is not None else []
        self.publisher.attach(channel)
        if old is None:
            self._patience_seconds = SILENT_SECONDS
            return
        self.publisher.publish_hints(dues)
        if not self.publisher.has_awaited:
            self._reply()
        if old.is_open:
            old.close()

    def _lost(self) -> None:
        self._given_up, self._is_watching = None, False
        self._watches += 1  # the timer of the last watch means nothing any more
        self.publisher.detach()

    def _watch(self) -> None:
        """Look whether the broker answers, from now on until nothing waits."""
        if not self._is_watching:
            self._is_watching, self._watched = True, self.publisher.oldest
            self._watches += 1
            self._loop.later(self._patience_seconds, functools.partial(self._look, self._watches))

    def _look(self, watch: int) -> None:
        if watch != self._watches:
            return
        self._is_watching = False
        oldest = self.publisher.oldest
        silent = oldest is not None and oldest == self._watched
        if (silent or self.publisher.has_refused) and self._given_up is None and self.channel is not None:
            # a queue may be down for long, and a broker may be slow: then duplicates would only cost
            self._patience_seconds = min(2 * self._patience_seconds, _MOST_SILENT_SECONDS)
            self._given_up = self.channel
            self.connection.reopen_channel()
        if not self.publisher.has_awaited:
            self._reply()
        if self.publisher.waiting or self.publisher.has_refused:
            self._watch()

    def _reply(self) -> None:
        replies, self._replies = self._replies, []
        for reply in replies:
            reply(True)
