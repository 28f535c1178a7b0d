"""/healthz: the process runs. /readyz: it can accept tasks. It accepts them also while RabbitMQ is away."""

import time

import falcon
import gevent

from dtqs.api.fitness import Fitness
from dtqs.api.http.answer import answer
from dtqs.broker.api_link import ApiLink
from dtqs.deadline import Deadline
from dtqs.errors import StoreUnavailable
from dtqs.store.driver.database import Database

PROBE_SECONDS = 2.0


class Healthz:
    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        answer(resp, {"status": "ok"})

    on_head = on_get


class Readyz:
    def __init__(self, database: Database, link: ApiLink, fitness: Fitness) -> None:
        self._database, self._link, self._fitness = database, link, fitness

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        state = self._probe()
        # a broker that refuses the login needs an operator: accepted tasks would never reach a worker
        there = state == "connected" and self._link.state != "refused" and self._fitness.refusal is None
        since_seconds = round(time.monotonic() - self._link.since, 1)
        rabbitmq: dict[str, object] = {"state": self._link.state, "since_seconds": since_seconds}
        if self._link.down is not None:
            rabbitmq["reason"] = self._link.down
        document: dict[str, object] = {
            "status": "ready" if there else "unready",
            "postgresql": {"state": state},
            "rabbitmq": rabbitmq,
        }
        if self._fitness.refusal is not None:
            document["reason"] = self._fitness.refusal
        answer(resp, document, falcon.HTTP_200 if there else falcon.HTTP_503)

    on_head = on_get

    def _probe(self) -> str:
        """Return the database's state within 2 s. Load balancers wait no longer; the pool's limits are longer."""
        probe = gevent.spawn(self._ask)
        try:
            return str(probe.get(timeout=PROBE_SECONDS))
        except gevent.Timeout:
            probe.kill(block=False)
            return "away"

    def _ask(self) -> str:
        """Ask the database. A read-only server, such as a standby, cannot accept tasks."""
        try:
            refusal, read_only = self._database.state(Deadline(PROBE_SECONDS))
        except StoreUnavailable:
            return "away"
        self._fitness.learn(refusal)
        return "read-only" if read_only else "connected"
