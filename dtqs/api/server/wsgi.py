"""The WSGI `application` that gunicorn loads, empty until a process starts it after its fork. `build` wires the API."""

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
from dtqs.api.http.byte_room import room_bytes
from dtqs.api.http.request_ids import log_fields
from dtqs.api.server.app import App, AppParts, create_app
from dtqs.api.server.chores import Chores
from dtqs.api.server.gunicorn_private import response_of
from dtqs.api.server.listening import refuse_open_listeners
from dtqs.api.server.presence import Presence
from dtqs.api.server.waiting import most_connections
from dtqs.api.stream.hub import Hub
from dtqs.api.submit.ceilings import SubmitLimits
from dtqs.api.submit.examine import Examiner, Inline
from dtqs.api.submit.gather import Gather
from dtqs.api.submit.hinting import Hinting
from dtqs.api.submit.intake import Intake
from dtqs.api.web.feed import DashboardFeed
from dtqs.broker.api_link import ApiLink
from dtqs.config import Config, load
from dtqs.config_file import find
from dtqs.deadline import Deadline
from dtqs.errors import ConfigError
from dtqs.event_seal import EventSeal
from dtqs.files import FileSpace
from dtqs.metrics.page import MetricsPage
from dtqs.processors.catalog import Catalog
from dtqs.readings import SystemReader
from dtqs.store import Store
from dtqs.store.driver.cooperative import CooperativeDatabase
from dtqs.store.driver.lending import BORROWER, UNKNOWN
from dtqs.store.workers import ProcessTotals
from dtqs.tracing import api_traces

NAME = "dtqs api"
BOOT_ERROR = 4
"""With this exit status gunicorn ends the whole server, instead of starting processes again and again."""
_LOOK_SECONDS = 0.1
_STOP_SECONDS = 2.0
_LAST_TOTALS_SECONDS, _PART_FOR_TOTALS = 2.0, 4
"""The last totals get at most these seconds, and at most a quarter of `shutdown_seconds`."""
NEXT_TASKS, LATER_TASKS = 10, 10
"""Pending tasks that an overview names: the next ones, and later ones."""

_COLLECTOR = (50_000, 20, 20)
"""Thresholds of Python's garbage collector. With the defaults it took an eighth of the processor time."""

logger = logging.getLogger(__name__)


class Service:
    """The API of one process, from `start` to `stop`. `client_seconds` limits each read from a client."""

    def __init__(self, client_seconds: float = CLIENT_SECONDS) -> None:
        self._client_seconds = client_seconds
        self._app: App | None = None
        self._parts: AppParts | None = None
        self._chores: Chores | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        assert self._app is not None
        environ[RESPONSE] = response_of(start_response)
        BORROWER.set(UNKNOWN)  # the greenlet of a connection has worked for the key of its last request
        wait_for_client(environ, self._client_seconds)
        return in_pieces(self._app(environ, start_response))

    def start(self, worker: Any) -> None:
        """Open everything, after the fork. gunicorn's `worker.alive` turns false when the process must end."""
        # ApiMaster holds the checked parts; under plain gunicorn they are read here
        server = worker.app
        try:
            config = getattr(server, "config", None) or load(find())
            # plain gunicorn may have got another address by an option
            refuse_open_listeners(config.api.auth, [each.fileno() for each in worker.sockets])
            catalog = getattr(server, "catalog", None) or Catalog.load(config)
            parts = build(config, catalog, getattr(server, "secret", None) or api_secret(config))
        except ConfigError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(BOOT_ERROR)
        log.set_up(config.log.level, config.log.format, "api", config.log.file)
        log.add_fields(log_fields)
        self._traces = api_traces(config.trace, parts.totals.tally)
        self._parts, self._app = parts, create_app(parts, self._traces)
        self._chores = Chores(
            parts.gather, parts.hinting, parts.hub, parts.store.workers, parts.totals, parts.fitness, config.lease,
            min(_LAST_TOTALS_SECONDS, config.api.shutdown_seconds / _PART_FOR_TOTALS),
            parts.seal, Presence(parts.totals.tally, parts.hub, parts.gather, parts.link).note,
        )  # fmt: skip
        parts.examiner.start()
        parts.store.start()
        parts.link.start()
        parts.hub.start()
        self._chores.start()
        gevent.spawn(self._watch, worker)
        # the objects of the start stay, so the collector need not visit them
        gc.freeze()
        gc.set_threshold(*_COLLECTOR)
        if (served := getattr(server, "served", None)) is not None:
            served.ready()

    def stop(self) -> None:
        """Close everything, after the last request. Safe to call twice, and without a start."""
        parts, self._parts = self._parts, None
        if parts is None or self._chores is None:
            return
        parts.hub.stop()
        parts.feed.stop()
        parts.reader.close()
        parts.metrics.close()
        parts.hinting.flush()
        self._chores.stop()
        parts.link.stop(Deadline(_STOP_SECONDS))
        parts.store.stop()
        parts.space.close()
        parts.examiner.stop()
        if self._traces:
            self._traces.stop()

    def _watch(self, worker: Any) -> None:
        """End streams and idle connections when the process must end. gunicorn has no hook, and would wait for them."""
        while worker.alive:
            gevent.sleep(_LOOK_SECONDS)
            sink.flush()
        if self._parts is not None:
            self._parts.hub.end_streams()
            self._parts.feed.end_streams()
        worker.end_idle()


def build(config: Config, catalog: Catalog, secret: bytes) -> AppParts:
    """Build the parts. Nothing is opened yet."""
    totals = ProcessTotals(routes=config.routes.text)
    store = Store(
        config.postgresql, config.lease, config.postgresql.pool_size, NAME, CooperativeDatabase, keeps_text=True
    )
    fitness = Fitness(store.database.schema_refusal)
    connections = most_connections(config.api.max_connections, config.postgresql.pool_size)
    hub = Hub(store.reads, config.api.reread_seconds, room_bytes(config.api.max_body_bytes), connections)
    seal = EventSeal()
    link = ApiLink(config.rabbitmq, NAME, hub.watched, hub.on_events, config.routes, seal.is_genuine)
    hinting = Hinting(link, store.backlog, totals, config.lease.grace_seconds)
    gather = Gather(store.tasks.insert, hinting.stored, config.postgresql.statement_timeout_seconds)
    reader = SystemReader(store, config.rabbitmq, f"{NAME} overview", config.routes)
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
        seal,
        MetricsPage(store, f"{NAME} metrics", reader.look, catalog.names(), lambda: gevent.sleep(0), config.routes),
    )


application = Service()
