"""The connections of readings, which look at the broker again and again: is it up, does it take messages, and how many
messages are in each queue?
"""

import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pika.channel import Channel

from dtqs.broker.loop.connection import BrokerConnection
from dtqs.broker.loop.threads import ThreadLoop
from dtqs.broker.queue import QueueLook
from dtqs.broker.queue_probe import Found, QueueProbe
from dtqs.broker.topology import NOBODY, QUEUE
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable

_PATIENCE_SECONDS = 0.2
"""How long one look waits for a connection that was away before."""
_CLOSE_SECONDS = 0.5
_SILENT_SECONDS = 1.5
"""A queue that gives no answer for so long does not serve. The screens of readings wait for at most two seconds."""


@dataclass(frozen=True, slots=True)
class BrokerLook:
    """The result of one look. In `queues` a missing queue is `None`. `blocked`: an alarm keeps publishers waiting.

    `refusal`: the broker's message if a permission to publish is missing. `down`: why queues exist and do not serve;
    they are `None` in `queues` too.
    """

    version: str
    queues: Mapping[str, QueueLook | None]
    blocked: bool
    latency_seconds: float
    refusal: str | None = None
    down: Mapping[str, str] = field(default_factory=dict)


class LookLink:
    """Two connections: an alarm stops only the one that publishes."""

    def __init__(self, section: RabbitmqSection, name: str) -> None:
        self._loop = ThreadLoop("broker look")
        self._looking = BrokerConnection(self._loop, section, f"{name} looks")
        self._publishing = BrokerConnection(self._loop, section, f"{name} asks")
        self._probes: dict[str, QueueProbe] = {}
        self._started = self._closed = False

    def look(self, deadline: Deadline, queues: Sequence[str] = (QUEUE,)) -> BrokerLook:
        """Look at the broker and its queues. The first look opens the connections. Raises BrokerUnavailable."""
        patience = deadline if not self._started else Deadline(min(deadline.remaining, _PATIENCE_SECONDS))
        self._start()

        def question(reply: Callable[[BrokerLook | None], None]) -> None:
            looking, publishing = self._looking.channel, self._publishing.channel
            is_ready = publishing is not None or self._publishing.refusal
            if looking is not None and looking.is_open and is_ready:
                self._ask(looking, publishing, queues, reply)
            elif patience.passed:
                reply(None)  # it was away before, and the caller has a screen to draw
            else:
                self._loop.later(0.02, lambda: question(reply))

        seen = self._loop.ask(question, deadline)
        if seen is None:
            raise BrokerUnavailable("RabbitMQ cannot be reached")
        return seen

    def close(self) -> None:
        """Close both connections. Safe to call twice."""
        if not self._closed:
            self._closed = True
            close_lines(self._loop, self._started, self._looking, self._publishing)

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._loop.start()
            self._loop.call(self._looking.start)
            self._loop.call(self._publishing.start)

    def _ask(
        self,
        looking: Channel,
        publishing: Channel | None,
        queues: Sequence[str],
        reply: Callable[[BrokerLook | None], None],
    ) -> None:
        began, version = time.monotonic(), str(looking.connection.server_properties.get("version", ""))
        if self._publishing.state == "connected" and publishing is not None and publishing.is_open:
            publishing.basic_publish("", NOBODY, b"")
        found: dict[str, Found] = {}
        latency_seconds = 0.0

        def answered(queue: str, result: Found) -> None:
            nonlocal latency_seconds
            latency_seconds = latency_seconds or time.monotonic() - began
            found[queue] = result
            if len(found) == len(asked):
                end()

        def end() -> None:
            if self._looking.channel is None:
                return  # without a connection the caller's deadline ends this
            results = {queue: found[queue] if queue in found else self._probe(queue).silence for queue in queues}
            reply(
                BrokerLook(
                    version,
                    {queue: result if isinstance(result, QueueLook) else None for queue, result in results.items()},
                    self._publishing.state == "blocked",
                    latency_seconds or time.monotonic() - began,
                    self._publishing.refusal,
                    {queue: result for queue, result in results.items() if isinstance(result, str)},
                )
            )

        asked = [queue for queue in queues if not self._probe(queue).waits]
        for queue in asked:
            self._probe(queue).ask(functools.partial(answered, queue))
        # a queue that has left an earlier question open is not waited for again
        self._loop.later(_SILENT_SECONDS if asked else 0.0, end)

    def _probe(self, queue: str) -> QueueProbe:
        if queue not in self._probes:
            self._probes[queue] = QueueProbe(self._looking, queue)
        return self._probes[queue]


def close_lines(loop: ThreadLoop, started: bool, *lines: BrokerConnection) -> None:
    """Close connections, then their loop. It waits only shortly for a broker that is away."""

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
