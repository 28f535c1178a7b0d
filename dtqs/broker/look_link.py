"""The connections of those who only look at the broker, again and again: is it there, does it take messages, what is in the task queue?"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from pika.channel import Channel

from dtqs.broker.loop.connection import BrokerConnection, is_missing
from dtqs.broker.loop.threads import ThreadLoop
from dtqs.broker.queue import QueueLook, look
from dtqs.broker.topology import NOBODY, parameters
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable

_PATIENCE_SECONDS = 0.2
"""What a connection gets to come back during one look, when it has been away before."""


_CLOSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class BrokerLook:
    """One look. `queue` is None where it is missing; `blocked`: an alarm keeps publishers waiting; `refusal`: no permission to publish."""

    version: str
    queue: QueueLook | None
    blocked: bool
    latency_seconds: float
    refusal: str | None = None


class LookLink:
    """Keeps two connections: an alarm stops the one that publishes, and only that one."""

    def __init__(self, section: RabbitmqSection, name: str) -> None:
        self._loop = ThreadLoop("broker look")
        looks, speaks = f"{name} looks", f"{name} asks"
        self._looking = BrokerConnection(self._loop, parameters(section, looks), looks, lambda _: None, self._lost)
        self._speaking = BrokerConnection(
            self._loop, parameters(section, speaks), speaks, lambda _: None, lambda _: None
        )
        self._missing: Callable[[], None] = lambda: None
        self._started = self._closed = False

    def look(self, deadline: Deadline) -> BrokerLook:
        """Look at it. The connections are opened by the first look. Raises BrokerUnavailable."""
        patience = deadline if not self._started else Deadline(min(deadline.remaining, _PATIENCE_SECONDS))
        self._start()

        def question(reply: Callable[[BrokerLook | None], None]) -> None:
            channels = self._looking.channel, self._speaking.channel
            if channels[0] is None or not channels[0].is_open or (channels[1] is None and not self._speaking.refusal):
                # not at all when it was away a moment ago already: whoever looks has a screen to draw
                self._loop.later(0.02, lambda: question(reply)) if not patience.passed else reply(None)
                return
            self._ask(channels[0], channels[1], reply)

        seen = self._loop.ask(question, deadline)
        if seen is None:
            raise BrokerUnavailable("RabbitMQ cannot be reached")
        return seen

    def close(self) -> None:
        """Safe to call twice."""
        if not self._closed:
            self._closed = True
            close_lines(self._loop, self._started, self._looking, self._speaking)

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._loop.start()
            self._loop.call(self._looking.start)
            self._loop.call(self._speaking.start)

    def _ask(self, looking: Channel, speaking: Channel | None, reply: Callable[[BrokerLook | None], None]) -> None:
        began, version = time.monotonic(), str(looking.connection.server_properties.get("version", ""))
        if self._speaking.state == "connected" and speaking is not None and speaking.is_open:
            speaking.basic_publish("", NOBODY, b"")

        def seen(queue: QueueLook | None) -> None:
            latency_seconds = time.monotonic() - began
            reply(
                BrokerLook(version, queue, self._speaking.state == "blocked", latency_seconds, self._speaking.refusal)
            )

        self._missing = lambda: seen(None)
        look(looking, seen)

    def _lost(self, reason: BaseException) -> None:
        if is_missing(reason):
            self._missing()


def close_lines(loop: ThreadLoop, started: bool, *lines: BrokerConnection) -> None:
    """Close lines and then their loop; a broker that is away is not waited for."""

    def close(reply: Callable[[bool], None]) -> None:
        if all(line.closed for line in lines):
            reply(True)
        else:
            loop.later(0.01, lambda: close(reply))

    if started:
        for line in lines:
            loop.call(line.stop)
        with contextlib.suppress(BrokerUnavailable):
            loop.ask(close, Deadline(_CLOSE_SECONDS))
        loop.stop(Deadline(_CLOSE_SECONDS))
    loop.close()
