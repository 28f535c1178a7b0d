"""A connection with its publisher: every process that publishes has one. All of it runs on the loop."""

from collections.abc import Callable, Sequence

from pika.channel import Channel

from dtqs.broker.loop.connection import BrokerConnection, Loop
from dtqs.broker.publisher import Publisher
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.routes import NO_ROUTES, Routes
from dtqs.task import Due

_AGAIN_SECONDS = 0.02
"""Time until the next look for a channel that is not open yet."""


class PublishingLine:
    def __init__(
        self, loop: Loop, section: RabbitmqSection, name: str, routes: Routes = NO_ROUTES, confirmed_bytes: int = 0
    ) -> None:
        self._loop = loop
        self.publisher = Publisher(lambda: self.connection.state == "connected", self._reply, routes, confirmed_bytes)
        self.connection = BrokerConnection(
            loop, section, name, self.publisher.attach, lambda _: self.publisher.detach(), self._reply
        )
        self._replies: list[Callable[[bool], None]] = []

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
        """Publish hints, and reply once no hint waits for its confirm, or at an alarm.

        Reply at once if nothing was published: during an alarm the confirms of earlier hints may take long.
        """
        if self.publisher.publish_hints(dues) and self.publisher.waiting:
            self._replies.append(reply)
        else:
            reply(True)

    def _reply(self) -> None:
        replies, self._replies = self._replies, []
        for reply in replies:
            reply(True)
