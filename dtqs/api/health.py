"""Is this process there (/healthz), and can it take tasks (/readyz)? Without RabbitMQ submits are accepted all the same."""

import time

import falcon
import gevent

from dtqs.api.tasks import answer
from dtqs.broker.api_link import ApiLink
from dtqs.deadline import Deadline
from dtqs.errors import StoreUnavailable
from dtqs.store.database import Database

PROBE_SECONDS = 2.0


class Healthz:
    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        answer(resp, {"status": "ok"})

    on_head = on_get


class Readyz:
    def __init__(self, database: Database, link: ApiLink) -> None:
        self._database, self._link = database, link

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        state = self._probe()
        # a broker that refuses is not one that is away: no wait helps, and what is accepted would never be handed out
        there = state == "connected" and self._link.state != "refused"
        rabbitmq = {"state": self._link.state, "since_seconds": round(time.monotonic() - self._link.since, 1)}
        document = {"status": "ready" if there else "unready", "postgresql": {"state": state}, "rabbitmq": rabbitmq}
        answer(resp, document, falcon.HTTP_200 if there else falcon.HTTP_503)

    on_head = on_get

    def _probe(self) -> str:
        """Ask the database, and wait for no longer than a load balancer does: the pool's own limits are those of requests."""
        probe = gevent.spawn(self._ask)
        try:
            return str(probe.get(timeout=PROBE_SECONDS))
        except gevent.Timeout:
            probe.kill(block=False)
            return "away"

    def _ask(self) -> str:
        """A server that only reads takes no task: a standby, or one whose disk is being rescued."""
        try:
            return "read-only" if self._database.is_read_only(Deadline(PROBE_SECONDS)) else "connected"
        except StoreUnavailable:
            return "away"
