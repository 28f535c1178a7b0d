"""The connection of an operator's command that changes something: it tells workers, streams and the queue, and what gets lost the others find by themselves."""

from collections.abc import Callable, Sequence

from dtqs.broker.look_link import close_lines
from dtqs.broker.loop.connection import BrokerConnection
from dtqs.broker.loop.threads import ThreadLoop
from dtqs.broker.publisher import Publisher
from dtqs.broker.topology import parameters
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable
from dtqs.event import LogRef
from dtqs.task import Due


class OperatorLink:
    """One connection, opened by the first call. Nothing is raised: the database has it already."""

    def __init__(self, section: RabbitmqSection, name: str) -> None:
        self._loop = ThreadLoop("broker operator")
        self._publisher = Publisher(lambda: self._speaking.state == "connected")
        self._speaking = BrokerConnection(
            self._loop, parameters(section, name), name, self._publisher.attach, lambda _: self._publisher.detach()
        )
        self._started = self._closed = False

    def publish_hints(self, dues: Sequence[Due], deadline: Deadline) -> bool:
        """Returns whether it was said; if not, the relay publishes them in a moment."""
        return self._say(lambda: self._publisher.publish_hints(dues), deadline)

    def publish_events(self, rows: Sequence[LogRef], deadline: Deadline) -> bool:
        """Returns whether it was said; if not, streams find out at their next look."""
        return self._say(lambda: self._publisher.publish_events(rows), deadline)

    def publish_cancel(self, task_ids: Sequence[str], deadline: Deadline) -> bool:
        """Returns whether it was said; if not, workers find the request at their next heartbeat."""
        return self._say(lambda: self._publisher.publish_cancel(task_ids), deadline)

    def close(self) -> None:
        """Safe to call twice."""
        if not self._closed:
            self._closed = True
            close_lines(self._loop, self._started, self._speaking)

    def _say(self, what: Callable[[], object], deadline: Deadline) -> bool:
        if not self._started:
            self._started = True
            self._loop.start()
            self._loop.call(self._speaking.start)

        def question(reply: Callable[[bool], None]) -> None:
            if self._speaking.channel is not None:
                what()
                reply(True)
            elif not deadline.passed:
                self._loop.later(0.02, lambda: question(reply))

        try:
            return self._loop.ask(question, deadline)
        except BrokerUnavailable:
            return False
