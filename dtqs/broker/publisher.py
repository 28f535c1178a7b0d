"""Publishing: hints with confirms (mandatory, persistent, by priority), events and control without.

It runs on the loop and never blocks. Messages without room are dropped: the relay publishes an unconfirmed hint again.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence

from pika import BasicProperties
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from dtqs.broker.topology import CONTROL, EVENTS, NOBODY, PERSISTENT, QUEUE, declare_exchanges
from dtqs.broker.unanswered import WINDOW, Unanswered
from dtqs.confirmed import Confirmed, ConfirmedHints
from dtqs.event import HINT_LIMIT, LogRef, SealedRow, decode_hint, encode_cancel, encode_events, encode_hint
from dtqs.routes import NO_ROUTES, Routes
from dtqs.task import PRIORITY_MAX, PRIORITY_MIN, Due

CONFIRMED_BYTES = 4 << 20
"""The most memory for confirmed hints that nobody has taken yet: about 200,000 tasks."""
_EVENTS_PER_MESSAGE = 1000


def any_type(_: str) -> int:
    """Let as many tasks of each type share a hint as may."""
    return HINT_LIMIT


def hints(dues: Sequence[Due], most: Callable[[str], int] = any_type) -> Iterator[tuple[int, bytes, list[Due]]]:
    """Group tasks into hints: (priority, body, tasks). Only light tasks of one type and priority share a hint.

    `most`: the number of tasks of a type that share one, `HINT_LIMIT` at most.
    """
    groups: dict[tuple[str, int], list[Due]] = {}
    for due in dues:
        priority = due.priority
        if not PRIORITY_MIN <= priority <= PRIORITY_MAX:
            # a person may have written any number into the backlog, and AMQP has one byte for it
            priority = min(PRIORITY_MAX, max(PRIORITY_MIN, priority))
        if due.light:
            groups.setdefault((due.task_type, priority), []).append(due)
        else:
            yield priority, encode_hint(due.task_type, False, [due.task_id]), [due]
    for (task_type, priority), members in groups.items():
        size = max(1, min(HINT_LIMIT, most(task_type)))
        for start in range(0, len(members), size):
            part = members[start : start + size]
            yield priority, encode_hint(task_type, True, [due.task_id for due in part]), part


class Publisher:
    """The messages of one channel. Its owner calls `attach` and `detach` when the channel opens and closes."""

    def __init__(
        self,
        is_free: Callable[[], bool],
        on_idle: Callable[[], None] = lambda: None,
        routes: Routes = NO_ROUTES,
        confirmed_bytes: int = 0,
        on_wait: Callable[[], None] = lambda: None,
        most: Callable[[str], int] = any_type,
    ) -> None:
        """`confirmed_bytes`: the memory for confirmed hints that wait for `take_confirmed`. 0: nobody takes them.

        `on_wait` is called when a first hint waits for its answer, and when one is refused. `most`: see `hints`.
        """
        self._is_free, self._on_idle, self._queue_by_type = is_free, on_idle, routes.by_type
        self._on_wait, self._most = on_wait, most
        self._channel: Channel | None = None
        self._tag, self._confirming = 0, False
        self._waiting = Unanswered(self._queue_of)
        self._refused: list[list[Due]] = []
        self._confirmed = ConfirmedHints(confirmed_bytes)
        self.refused_at: dict[str, float] = {}
        """When the broker last refused a hint and has kept none since, on the monotonic clock, by queue."""

    def attach(self, channel: Channel) -> None:
        declare_exchanges(channel)
        self._tag, self._confirming = 0, False
        self._waiting.clear()
        self._refused.clear()
        channel.add_on_return_callback(self._returned)
        # Without the permission to publish, this closes the channel at once, and not a hint of a task later.
        channel.basic_publish("", NOBODY, b"")
        self._channel = channel

    def detach(self) -> None:
        self._channel = None
        self._waiting.clear(lost=True)
        self._refused.clear()
        self._on_idle()

    @property
    def waiting(self) -> int:
        """The number of hints without an answer."""
        return len(self._waiting)

    @property
    def has_awaited(self) -> bool:
        """Whether hints have no answer yet whose queue answers: nobody waits for a silent one."""
        return self._waiting.are_awaited

    @property
    def has_refused(self) -> bool:
        """Whether the broker has refused a hint of this channel."""
        return bool(self._refused)

    @property
    def unkept(self) -> list[Due]:
        """The tasks of the hints that this channel has refused, or not answered."""
        return [due for members in (*self._refused, *self._waiting.hints) for due in members]

    @property
    def oldest(self) -> tuple[str, str] | None:
        """A task of the oldest hint without an answer, and its queue. None also during an alarm."""
        members = self._waiting.oldest
        return None if members is None or not self._is_free() else (members[0].task_id, self._queue_of(members))

    def publish_hints(self, dues: Sequence[Due]) -> int:
        """Publish as many hints as their queues have room for. Returns the number of their tasks."""
        count = 0
        if self._channel is None or not self._is_free():
            return 0
        if not self._confirming:
            # Only now: a worker seldom publishes hints, and a confirm of events costs it as much as publishing them.
            channel = self._channel
            channel.confirm_delivery(lambda frame: self._answered(channel, frame))
            self._confirming = True
        waited = bool(self._waiting)
        try:
            for priority, body, members in hints(dues, self._most):
                queue = self._queue_of(members)
                if not self._waiting.has_room(queue):
                    continue
                properties = BasicProperties(delivery_mode=PERSISTENT, priority=priority)
                # it may raise before it has written anything: then the broker counts no message
                self._channel.basic_publish("", queue, body, properties, mandatory=True)
                self._tag += 1
                self._waiting.add(self._tag, queue, members)
                count += len(members)
        finally:
            if self._waiting and not waited:
                self._on_wait()
        return count

    def publish_events(self, rows: Sequence[LogRef | SealedRow]) -> None:
        """Tell all API processes what has changed. A lost event only delays a stream."""
        for start in range(0, len(rows), _EVENTS_PER_MESSAGE):
            self._tell(EVENTS, encode_events(rows[start : start + _EVENTS_PER_MESSAGE]))

    def publish_cancel(self, task_ids: Sequence[str]) -> None:
        """Tell all workers. A worker that misses it finds the request at its next heartbeat."""
        self._tell(CONTROL, encode_cancel(task_ids))

    def take_confirmed(self) -> list[Confirmed]:
        """Return the hints confirmed since the last call."""
        return self._confirmed.take()

    def _tell(self, exchange: str, body: bytes) -> None:
        if self._channel is not None and self._is_free():
            self._channel.basic_publish(exchange, "", body)
            self._tag += self._confirming  # the channel then confirms these too

    def _answered(self, channel: Channel, frame: Method) -> None:
        if channel is not self._channel:
            return  # the tags of a channel that was given up
        method, tag = frame.method, frame.method.delivery_tag
        tags = list(itertools.takewhile(lambda waiting: waiting <= tag, self._waiting)) if method.multiple else [tag]
        for one in tags:
            members = self._waiting.pop(one)
            if members and isinstance(method, Basic.Ack):
                self._confirmed.add(members)
                if self.refused_at:
                    self.refused_at.pop(self._queue_of(members), None)
            elif members:
                self.refused_at[self._queue_of(members)] = time.monotonic()
                self._refuse(members)
        if not self._waiting.are_awaited:
            self._on_idle()

    def _refuse(self, members: list[Due]) -> None:
        if len(self._refused) < WINDOW:  # the relay publishes the rest
            self._refused.append(members)
        self._on_wait()

    def _queue_of(self, members: Sequence[Due]) -> str:
        return self._queue_by_type.get(members[0].task_type, QUEUE)

    def _returned(self, channel: Channel, _: Basic.Return, __: BasicProperties, body: bytes) -> None:
        """Forget a hint that no queue took: the broker confirms it afterwards nevertheless.

        A keeper finds the queue missing and repairs it.
        """
        if channel is not self._channel:
            return
        first_id = decode_hint(body).task_ids[0]
        # A message id would find the hint, but make each delivery more expensive for a rare case.
        tag = self._waiting.tag_of(first_id)
        if tag is not None:
            self._waiting.pop(tag)
        if not self._waiting.are_awaited:
            self._on_idle()
