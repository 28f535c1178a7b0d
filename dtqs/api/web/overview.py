"""/overview, /overview/stream and /logs: one reading of the system, a stream of readings, and the newest log rows.

All need a key with the scope admin.
"""

import functools
from collections.abc import Callable, Iterator

import falcon
import gevent
from gevent.lock import BoundedSemaphore

from dtqs.api.access.auth import Auth
from dtqs.api.http.answer import answer
from dtqs.api.http.body import close_connection, wait_for_client
from dtqs.api.http.query import Query, refuse_parameters
from dtqs.api.http.refusal import RETRY_AFTER_SECONDS
from dtqs.api.stream.client_socket import HEADERS, STALLED_SECONDS, ClientSocket, StreamPace
from dtqs.api.stream.frames import HEARTBEAT, retry
from dtqs.api.tasks.resources import LOGS_DEFAULT, LOGS_LIMIT
from dtqs.api.web.feed import DashboardFeed, ReadingsCrowded, Viewer
from dtqs.errors import StoreUnavailable, TooManyRequests
from dtqs.event import LEVELS
from dtqs.readings import SystemReader

TURN_SECONDS = 5.0
"""Time limit of the wait for other searches of the log: one runs at a time, since each may read megabytes."""


class OverviewResource:
    """/overview"""

    def __init__(self, auth: Auth, feed: DashboardFeed) -> None:
        self._auth, self._feed = auth, feed

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._auth.require(req, "admin")
        refuse_parameters(req)
        try:
            resp.content_type, resp.data = falcon.MEDIA_JSON, self._feed.one()
        except ReadingsCrowded:
            raise falcon.HTTPServiceUnavailable(
                description="too many readings of the system wait for one another; try again in a moment",
                retry_after=int(RETRY_AFTER_SECONDS),
            ) from None


class OverviewStream:
    """/overview/stream: first an event `history` with recent points, then a `reading` every two seconds."""

    def __init__(self, auth: Auth, feed: DashboardFeed, pace: StreamPace) -> None:
        self._auth, self._feed, self._pace = auth, feed, pace

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._auth.require(req, "admin")
        refuse_parameters(req)
        resp.content_type = "text/event-stream"
        resp.set_headers(HEADERS)
        close_connection(req)
        if self._feed.is_full:
            resp.stream = [retry(self._pace.retry_seconds)]
            return
        wait_for_client(req.env, STALLED_SECONDS)
        permit = functools.partial(self._auth.require, req, "admin")
        resp.stream = Readings(self._feed, permit, ClientSocket(req.env.get("gunicorn.socket")), self._pace)


class Readings:
    """The body of a stream. It ends when the client leaves or when `permit`, asked with every reading, refuses."""

    def __init__(self, feed: DashboardFeed, permit: Callable[[], object], line: ClientSocket, pace: StreamPace) -> None:
        self._feed, self._permit, self._line, self._pace = feed, permit, line, pace
        self._viewer = Viewer()
        self._judging: gevent.Greenlet | None = None
        self._begun = False
        feed.add(self._viewer)
        line.watch(self._viewer.leave)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._line.allow_time()
        if not self._begun:
            self._begun = True
            return (
                retry(self._pace.retry_seconds) + b"event: history\ndata: %s\n\n" % self._feed.history() + self._news()
            )
        while not self._viewer.leaving:
            self._viewer.wake.clear()
            if news := self._news():
                self._judge()
                return news
            if not self._viewer.wake.wait(self._pace.heartbeat_seconds):
                return HEARTBEAT
        raise StopIteration

    def close(self) -> None:
        """Leave the feed. The server calls it at the end of every stream. Safe to call twice."""
        self._line.unwatch()
        self._feed.remove(self._viewer)

    def _judge(self) -> None:
        """Ask in another greenlet: without PostgreSQL the answer is slow, and the stream must report the loss."""
        if self._judging is None or self._judging.ready():
            self._judging = gevent.spawn(self._leave_if_refused)

    def _leave_if_refused(self) -> None:
        try:
            self._permit()
        except falcon.HTTPError:
            self._viewer.leave()
        except (StoreUnavailable, TooManyRequests):
            pass  # unknown now; the next reading asks again

    def _news(self) -> bytes:
        if not self._feed.newest or self._viewer.seen == self._feed.number:
            return b""
        self._viewer.seen = self._feed.number
        return b"event: reading\ndata: %s\n\n" % self._feed.newest


class Logs:
    """/logs: the newest rows of all tasks, the newest last."""

    def __init__(self, auth: Auth, reader: SystemReader) -> None:
        self._auth, self._reader = auth, reader
        self._turn = BoundedSemaphore()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._auth.require(req, "admin")
        query = Query(req, ("limit", "level", "task_id", "search"))
        limit, level = query.number("limit", LOGS_DEFAULT, 1, LOGS_LIMIT), query.choice("level", LEVELS)
        task_id, search = query.task_id("task_id"), query.text("search")
        query.check()
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise falcon.HTTPServiceUnavailable(
                description="too many searches of the log; try again in a moment",
                retry_after=int(RETRY_AFTER_SECONDS),
            )
        try:
            answer(resp, {"logs": self._reader.newest_logs(limit, level, task_id, search)})
        finally:
            self._turn.release()
