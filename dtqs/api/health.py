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
FRESH_SECONDS = 0.5
"""How long an answer of the database serves further callers."""


class Healthz:
    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        answer(resp, {"status": "ok"})

    on_head = on_get


class Readyz:
    def __init__(self, database: Database, link: ApiLink, fitness: Fitness) -> None:
        self._probe, self._link, self._fitness = SharedProbe(database, fitness), link, fitness

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        state = self._probe.state()
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


class SharedProbe:
    """Asks the database for its state. All callers share one question, and its answer for a short time.

    /readyz needs no key, so its callers must not cost a connection each.
    """

    def __init__(self, database: Database, fitness: Fitness) -> None:
        self._database, self._fitness = database, fitness
        self._running: gevent.Greenlet | None = None
        self._state, self._fresh_until = "away", 0.0

    def state(self) -> str:
        """Return the database's state within 2 s. Load balancers wait no longer; the pool's limits are longer."""
        if time.monotonic() < self._fresh_until:
            return self._state
        if self._running is None or self._running.ready():
            self._running = gevent.spawn(self._ask)
        return str(self._running.get())  # it ends by itself in time

    def _ask(self) -> str:
        state = "away"
        with gevent.Timeout(PROBE_SECONDS, False):
            state = self._look()
        self._state, self._fresh_until = state, time.monotonic() + FRESH_SECONDS
        return state

    def _look(self) -> str:
        """Ask the database. A read-only server, such as a standby, cannot accept tasks."""
        try:
            refusal, read_only = self._database.state(Deadline(PROBE_SECONDS))
        except StoreUnavailable:
            return "away"
        self._fitness.learn(refusal)
        return "read-only" if read_only else "connected"
