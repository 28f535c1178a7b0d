"""What gunicorn loads: `application`, empty until a worker process has forked and starts it. Here the API is put together."""

import functools
import gc
import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any

import gevent

from dtqs import log, sink
from dtqs.api.access.secret import api_secret
from dtqs.api.fitness import Fitness
from dtqs.api.http.body import CLIENT_SECONDS, RESPONSE, in_pieces, wait_for_client
from dtqs.api.server.app import App, AppParts, create_app
from dtqs.api.server.chores import Chores
from dtqs.api.stream.hub import Hub
from dtqs.api.submit.ceilings import SubmitLimits
from dtqs.api.submit.examine import Examiner, Inline
from dtqs.api.submit.gather import Gather
from dtqs.api.submit.hinting import Hinting
from dtqs.api.submit.intake import Intake
from dtqs.api.web.feed import DashboardFeed
from dtqs.broker.api_link import ApiLink
from dtqs.config import Config, find, load
from dtqs.deadline import Deadline
from dtqs.errors import ConfigError
from dtqs.files import FileSpace
from dtqs.processors.catalog import Catalog
from dtqs.readings import SystemReader
from dtqs.store import Store
from dtqs.store.driver.cooperative import CooperativeDatabase
from dtqs.store.workers import ProcessTotals

NAME = "dtqs api"
BOOT_ERROR = 4
"""gunicorn ends the whole server at this exit status, instead of starting one worker after the other."""
_LOOK_SECONDS = 0.1
_STOP_SECONDS = 2.0
NEXT_TASKS, LATER_TASKS = 10, 10
"""So many of the backlog an overview shows by name."""

_COLLECTOR = (50_000, 20, 20)
"""Objects made and not yet gone before the collector looks at the youngest, and how many such looks before it looks at older ones."""

logger = logging.getLogger(__name__)


class Service:
    """One worker process's API: its parts, from `start` to `stop`. `client_seconds` is how long a client may let us wait."""

    def __init__(self, client_seconds: float = CLIENT_SECONDS) -> None:
        self._client_seconds = client_seconds
        self._app: App | None = None
        self._parts: AppParts | None = None
        self._chores: Chores | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        assert self._app is not None
        environ[RESPONSE] = getattr(start_response, "__self__", None)
        wait_for_client(environ, self._client_seconds)
        return in_pieces(self._app(environ, start_response))

    def start(self, worker: Any) -> None:
        """Open everything, after the fork. `worker` is gunicorn's: `alive` turns false when it is to end."""
        server = worker.app  # dtqs.api.server.master's has the configuration that the master checked, and the secret; with gunicorn alone they are read here
        try:
            config = getattr(server, "config", None) or load(find())
            parts = build(config, Catalog.load(config), getattr(server, "secret", None) or api_secret(config))
        except ConfigError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(BOOT_ERROR)
        log.set_up(config.log.level, config.log.format, "api")
        self._parts, self._app = parts, create_app(parts)
        self._chores = Chores(
            parts.gather, parts.hinting, parts.hub, parts.store.workers, parts.totals, parts.fitness, config.lease
        )
        parts.examiner.start()
        parts.store.start()
        parts.link.start()
        parts.hub.start()
        self._chores.start()
        gevent.spawn(self._watch, worker)
        # what is there now stays, and what requests make goes with them: walking through it every few requests took an eighth of the time
        gc.freeze()
        gc.set_threshold(*_COLLECTOR)
        if (served := getattr(server, "served", None)) is not None:
            served.ready()

    def stop(self) -> None:
        """Close everything; the requests have ended. Safe to call twice, and without a start."""
        parts, self._parts = self._parts, None
        if parts is None or self._chores is None:
            return
        parts.hub.stop()
        parts.feed.stop()
        parts.reader.close()
        self._chores.stop()
        parts.hinting.flush()
        parts.link.stop(Deadline(_STOP_SECONDS))
        parts.store.stop()
        parts.space.close()
        parts.examiner.stop()

    def _watch(self, worker: Any) -> None:
        """End streams and idle connections as soon as the worker is to end: gunicorn has no hook for it, and would wait for them."""
        while worker.alive:
            gevent.sleep(_LOOK_SECONDS)
            sink.flush()
        if self._parts is not None:
            self._parts.hub.end_streams()
            self._parts.feed.end_streams()
        worker.end_idle()


def build(config: Config, catalog: Catalog, secret: bytes) -> AppParts:
    """Put the parts together; nothing is opened."""
    totals = ProcessTotals()
    store = Store(config.postgresql, config.lease, config.postgresql.pool_size, NAME, CooperativeDatabase)
    fitness = Fitness(store.database.schema_refusal)
    hub = Hub(store.reads, config.api.reread_seconds)
    link = ApiLink(config.rabbitmq, NAME, hub.watched, hub.on_events)
    hinting = Hinting(link, store.backlog, totals, config.lease.grace_seconds)
    gather = Gather(store.tasks.insert, hinting.stored, config.postgresql.statement_timeout_seconds)
    reader = SystemReader(store, config.rabbitmq, f"{NAME} overview")
    feed = DashboardFeed(functools.partial(reader.read, NEXT_TASKS, LATER_TASKS))
    space = FileSpace(config.files)
    intake = Intake(catalog, store.files, space.refusal, config.retry.max_retries)
    limits = SubmitLimits(
        config.limits, lambda task_type: catalog.get(task_type).timeout_seconds or config.retry.timeout_seconds
    )
    examiner = Examiner(Inline(intake, limits), config.postgresql.statement_timeout_seconds)
    return AppParts(
        config,
        secret,
        catalog,
        store,
        link,
        space,
        fitness,
        hub,
        reader,
        feed,
        hinting,
        gather,
        totals,
        intake,
        limits,
        examiner,
    )


application = Service()
