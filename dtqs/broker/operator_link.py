"""The connection of an operator's command that changes something. It informs workers, streams and the queue; each finds
a lost message by itself.
"""

from collections.abc import Callable, Sequence

from dtqs.broker.look_link import close_lines
from dtqs.broker.loop.threads import ThreadLoop
from dtqs.broker.publishing import PublishingLine
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable
from dtqs.event import LogRef
from dtqs.routes import NO_ROUTES, Routes
from dtqs.task import Due


class OperatorLink:
    """One connection, opened by the first call. It raises nothing: the database has the change already."""

    def __init__(self, section: RabbitmqSection, name: str, routes: Routes = NO_ROUTES) -> None:
        self._loop = ThreadLoop("broker operator")
        self._publishing = PublishingLine(self._loop, section, name, routes)
        self._publisher = self._publishing.publisher
        self._started = self._closed = False

    def publish_hints(self, dues: Sequence[Due], deadline: Deadline) -> bool:
        """Return whether the hints were published. If not, the relay publishes them in a moment."""
        return self._publish(lambda: self._publisher.publish_hints(dues), deadline)

    def publish_events(self, rows: Sequence[LogRef], deadline: Deadline) -> bool:
        """Return whether the events were published. If not, streams find the change at their next look."""
        return self._publish(lambda: self._publisher.publish_events(rows), deadline)

    def publish_cancel(self, task_ids: Sequence[str], deadline: Deadline) -> bool:
        """Return whether the cancel was published. If not, workers find the request at their next heartbeat."""
        return self._publish(lambda: self._publisher.publish_cancel(task_ids), deadline)

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        if not self._closed:
            self._closed = True
            close_lines(self._loop, self._started, self._publishing.connection)

    def _publish(self, publish: Callable[[], object], deadline: Deadline) -> bool:
        if not self._started:
            self._started = True
            self._loop.start()
            self._loop.call(self._publishing.connection.start)

        def question(reply: Callable[[bool], None]) -> None:
            def when_open() -> None:
                if self._publishing.channel is not None:
                    publish()
                    reply(True)

            self._publishing.when_open(when_open, deadline)

        try:
            return self._loop.ask(question, deadline)
        except BrokerUnavailable:
            return False
