"""The present values of an API process for /metrics: streams, waiting submits, and its connection to RabbitMQ."""

from dtqs.api.stream.hub import Hub
from dtqs.api.submit.gather import Gather
from dtqs.broker.api_link import ApiLink
from dtqs.tally import Tally


class Presence:
    def __init__(self, tally: Tally, hub: Hub, gather: Gather, link: ApiLink) -> None:
        self._tally, self._hub, self._gather, self._link = tally, hub, gather, link

    def note(self) -> None:
        """Set the values. The next heartbeat stores them."""
        self._tally.set("=streams", self._hub.count)
        self._tally.set("=submits_waiting", self._gather.waiting)
        self._tally.state("=broker|api", self._link.state)
