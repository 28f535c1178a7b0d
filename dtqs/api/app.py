"""The WSGI application out of its parts: which resource answers where."""

from dataclasses import dataclass

import falcon

from dtqs.api import problems
from dtqs.api.answer import Answer
from dtqs.api.auth import Auth
from dtqs.api.ceilings import Limits
from dtqs.api.cursor import Cursors
from dtqs.api.downloads import Downloads
from dtqs.api.examine import Elsewhere
from dtqs.api.fitness import Fitness
from dtqs.api.gather import Gather
from dtqs.api.health import Healthz, Readyz
from dtqs.api.hinting import Hinting
from dtqs.api.intake import Intake
from dtqs.api.links import Links
from dtqs.api.openapi import OpenApi
from dtqs.api.origin import OwnHosts
from dtqs.api.room import Room
from dtqs.api.sessions import Sessions
from dtqs.api.sse import Pace, Sse
from dtqs.api.submit import Submit
from dtqs.api.tasks import Cancel, Retry, TaskList, TaskLogs, TaskResource
from dtqs.api.tickets import Tickets
from dtqs.api.uploads import Uploads
from dtqs.api.watch import Hub
from dtqs.api.web.assets import Assets, Page, Static
from dtqs.api.web.feed import Feed
from dtqs.api.web.login import SessionResource
from dtqs.api.web.overview import Logs, Overview, OverviewStream
from dtqs.broker.api_link import ApiLink
from dtqs.config import Config
from dtqs.files import FileSpace
from dtqs.processors.catalog import Catalog
from dtqs.readings import Reader
from dtqs.store import Store
from dtqs.store.workers import Totals

App = falcon.App[falcon.Request, falcon.Response]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application uses; whoever built them starts and stops them."""

    config: Config
    secret: bytes
    catalog: Catalog
    store: Store
    link: ApiLink
    space: FileSpace
    fitness: Fitness
    hub: Hub
    reader: Reader
    feed: Feed
    hinting: Hinting
    gather: Gather
    totals: Totals
    intake: Intake
    limits: Limits
    examiner: Elsewhere


def create_app(parts: Parts) -> App:
    """Build the application; it opens nothing."""
    store, api = parts.store, parts.config.api
    keys, is_secure = store.api_keys, api.public_url.startswith("https:")
    sessions = Sessions(parts.secret, keys.find_of_session, keys.end_session, api.session_seconds, is_secure)
    auth = Auth(keys.find, sessions, OwnHosts(api.public_url), api.auth, api.trusted_proxies, parts.fitness.require)
    tickets = Tickets(parts.secret, api.ticket_seconds)
    links = Links(api.public_url, tickets if api.auth else None)
    app: App = falcon.App(response_type=Answer)
    problems.add_handlers(app)
    intake, limits, room = parts.intake, parts.limits, Room(store.tasks.pending_of)
    app.add_route("/submit", _submit(parts, auth, room, links))
    app.add_route("/sse", Sse(auth, tickets, store.reads, parts.hub, api))
    app.add_route("/tasks", TaskList(auth, store.reads, links, Cursors(parts.secret)))
    app.add_route("/tasks/{task_id}", TaskResource(auth, store.reads))
    app.add_route("/tasks/{task_id}/logs", TaskLogs(auth, store.reads, links))
    app.add_route("/tasks/{task_id}/cancel", Cancel(auth, store.reads, store.tasks, parts.link, parts.totals))
    app.add_route("/tasks/{task_id}/retry", Retry(auth, intake, limits, room, store.reads, store.tasks, parts.hinting, links, parts.totals))
    app.add_route("/files", Uploads(auth, parts.space, store.files, links, parts.config.files.max_upload_bytes))
    app.add_route("/files/{file_id}", Downloads(auth, parts.space, store.files))
    app.add_route("/healthz", Healthz())
    app.add_route("/readyz", Readyz(store.database, parts.link, parts.fitness))
    app.add_route("/openapi.json", OpenApi(parts.catalog, api))
    _add_dashboard(app, parts, auth, sessions)
    return app


def _add_dashboard(app: App, parts: Parts, auth: Auth, sessions: Sessions) -> None:
    api, assets = parts.config.api, Assets()
    app.add_route("/", Page(assets))
    app.add_route("/web/{version}/{name}", Static(assets))
    app.add_route("/session", SessionResource(auth, sessions))
    app.add_route("/overview", Overview(auth, parts.feed))
    app.add_route("/overview/stream", OverviewStream(auth, parts.feed, Pace(api.sse_heartbeat_seconds, api.sse_retry_seconds)))
    app.add_route("/logs", Logs(auth, parts.reader))


def _submit(parts: Parts, auth: Auth, room: Room, links: Links) -> Submit:
    config, store = parts.config, parts.store
    # the rest of the pool is for single submits, reads and streams
    arrays_at_once = max(1, config.postgresql.pool_size // 2)
    return Submit(
        auth, parts.examiner, parts.intake, parts.limits, room, parts.gather, parts.hinting, links, store.tasks, store.reads,
        config.api.max_body_bytes, config.api.idempotency_hours, arrays_at_once, config.postgresql.statement_timeout_seconds,
    )  # fmt: skip
