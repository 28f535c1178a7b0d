"""The WSGI application: maps each path to its resource."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import falcon

from dtqs.api.access.auth import Auth
from dtqs.api.access.origin import OwnHosts
from dtqs.api.access.sessions import Sessions
from dtqs.api.access.ticket_keys import TicketKeys
from dtqs.api.access.tickets import Tickets
from dtqs.api.backlog import BacklogResource
from dtqs.api.files.downloads import Downloads
from dtqs.api.files.uploads import Uploads
from dtqs.api.fitness import Fitness
from dtqs.api.health import Healthz, Readyz
from dtqs.api.http import problems
from dtqs.api.http.answer import Answer
from dtqs.api.http.byte_room import ByteRoom
from dtqs.api.http.disk import FileThreads
from dtqs.api.http.held_answers import HeldAnswers
from dtqs.api.http.request_ids import RequestIds
from dtqs.api.http.submit_spans import SubmitSpans
from dtqs.api.metrics import Metrics
from dtqs.api.openapi.document import OpenApi
from dtqs.api.stream.client_socket import StreamPace
from dtqs.api.stream.following import SubmitFollowing
from dtqs.api.stream.hub import Hub
from dtqs.api.stream.resource import Sse
from dtqs.api.submit.ceilings import SubmitLimits
from dtqs.api.submit.examine import Examiner
from dtqs.api.submit.gather import Gather
from dtqs.api.submit.hinting import Hinting
from dtqs.api.submit.intake import Intake
from dtqs.api.submit.resource import Submit
from dtqs.api.submit.room import Room
from dtqs.api.submit.task_links import Links
from dtqs.api.submit.turns import Turns
from dtqs.api.tasks.cursor import Cursors
from dtqs.api.tasks.resources import Cancel, Retry, TaskList, TaskLogs, TaskResource
from dtqs.api.web.assets import Assets, DashboardPage, Static
from dtqs.api.web.feed import DashboardFeed
from dtqs.api.web.login import SessionResource
from dtqs.api.web.overview import Logs, OverviewResource, OverviewStream
from dtqs.broker.api_link import ApiLink
from dtqs.config import Config, types_of
from dtqs.errors import AnswersFull, StoreUnavailable
from dtqs.event_seal import EventSeal
from dtqs.files import FileSpace
from dtqs.metrics.page import MetricsPage
from dtqs.operations import Notices, Operations
from dtqs.processors.catalog import Catalog
from dtqs.readings import SystemReader
from dtqs.store import Store
from dtqs.store.workers import ProcessTotals

if TYPE_CHECKING:
    from dtqs.tracing.otel import ApiTraces

_WAITING_READS = 5000
"""Most requests that wait for a turn to read lists, logs or a large task, to follow several, to cancel or to retry."""
App = falcon.App[falcon.Request, falcon.Response]


@dataclass(frozen=True, slots=True)
class AppParts:
    """The parts of the application. Service (wsgi.py) starts and stops them."""

    config: Config
    secret: bytes
    catalog: Catalog
    store: Store
    link: ApiLink
    space: FileSpace
    fitness: Fitness
    hub: Hub
    reader: SystemReader
    feed: DashboardFeed
    hinting: Hinting
    gather: Gather
    totals: ProcessTotals
    intake: Intake
    limits: SubmitLimits
    examiner: Examiner
    seal: EventSeal
    metrics: MetricsPage


def create_app(parts: AppParts, traces: "ApiTraces | None" = None) -> App:
    """Build the application. Nothing is opened."""
    store, api = parts.store, parts.config.api
    keys, is_secure = store.api_keys, api.public_url.startswith("https:")
    sessions = Sessions(parts.secret, keys.find_of_session, keys.end_session, api.session_seconds, is_secure)
    answers = ByteRoom(api.max_body_bytes, AnswersFull)

    def may_write(holder: str) -> None:
        parts.fitness.require()
        answers.require(holder)

    auth = Auth(keys.find, sessions, OwnHosts(api.public_url), api.auth, api.trusted_proxies, may_write)
    tickets = Tickets(parts.secret, api.ticket_seconds, TicketKeys(keys.find_of_ticket).is_revoked)
    links = Links(api.public_url, tickets if api.auth else None)
    spans = [SubmitSpans(traces)] if traces else []
    app: App = falcon.App(response_type=Answer, middleware=[RequestIds(), *spans, HeldAnswers(answers)])
    problems.add_handlers(app)
    limits, room = parts.limits, Room(store.tasks.pending_of)
    app.add_route("/submit", _submit(parts, auth, room, links, answers))
    patience_seconds = parts.config.postgresql.statement_timeout_seconds
    turns = Turns(patience_seconds, _WAITING_READS, _half_of_pool(parts.config), _too_many_reads)
    app.add_route("/sse", Sse(auth, tickets, store.reads, parts.hub, api, patience_seconds, turns))
    app.add_route("/tasks", TaskList(auth, store.reads, links, Cursors(parts.secret), turns))
    app.add_route("/tasks/{task_id}", TaskResource(auth, store.reads, turns, answers))
    app.add_route("/tasks/{task_id}/logs", TaskLogs(auth, store.reads, links, turns))
    notices = Notices(parts.hinting.publish, parts.link.publish_events, parts.link.publish_cancel)
    operations = Operations(store.tasks, notices, parts.totals)
    app.add_route("/tasks/{task_id}/cancel", Cancel(auth, store.reads, operations, turns, answers))
    retry = Retry(auth, parts.examiner, limits, room, store.reads, store.tasks, operations, links, turns, answers)
    app.add_route("/tasks/{task_id}/retry", retry)
    threads = FileThreads()
    app.add_route("/files", Uploads(auth, parts.space, store.files, links, parts.config.files, threads))
    app.add_route("/files/{file_id}", Downloads(auth, parts.space, store.files, answers, threads))
    app.add_route("/healthz", Healthz())
    app.add_route("/readyz", Readyz(store.database, parts.link, parts.fitness))
    pools = {name: types_of(pool, parts.config.routes) for name, pool in parts.config.pools.items()}
    app.add_route("/backlog", BacklogResource(auth, store.backlog.count, pools, parts.catalog.names()))
    app.add_route("/metrics", Metrics(auth, parts.metrics))
    app.add_route("/openapi.json", OpenApi(parts.catalog, api))
    _add_dashboard(app, parts, auth, sessions)
    return app


def _add_dashboard(app: App, parts: AppParts, auth: Auth, sessions: Sessions) -> None:
    api, assets = parts.config.api, Assets()
    app.add_route("/", DashboardPage(assets))
    app.add_route("/web/{version}/{name}", Static(assets))
    app.add_route("/session", SessionResource(auth, sessions))
    app.add_route("/overview", OverviewResource(auth, parts.feed))
    app.add_route(
        "/overview/stream",
        OverviewStream(auth, parts.feed, StreamPace(api.sse_heartbeat_seconds, api.sse_retry_seconds)),
    )
    app.add_route("/logs", Logs(auth, parts.reader))


def _submit(parts: AppParts, auth: Auth, room: Room, links: Links, answers: ByteRoom) -> Submit:
    config, store = parts.config, parts.store
    return Submit(
        auth, parts.examiner, parts.intake, parts.limits, room, parts.gather, parts.hinting, links, store.tasks,
        store.reads, SubmitFollowing(store.reads, parts.hub, config.api, answers), config.api.max_body_bytes,
        config.api.idempotency_hours, _arrays_at_once(config), config.postgresql.statement_timeout_seconds, answers,
    )  # fmt: skip


def _half_of_pool(config: Config) -> int:
    """Return how many long reads use PostgreSQL at once."""
    return max(1, config.postgresql.pool_size // 2)


def _arrays_at_once(config: Config) -> int:
    """Return how many arrays and keys use PostgreSQL at once."""
    return max(1, config.postgresql.pool_size - _half_of_pool(config) - 1)


def _too_many_reads() -> StoreUnavailable:
    return StoreUnavailable(
        "too many requests for lists, logs, large tasks, streams, cancels and retries wait for PostgreSQL"
    )
