"""GET /sse: the events of up to a hundred tasks in one stream, resumed by Last-Event-ID.

opening.py chooses the first events, hub.py the later ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import falcon
import gevent

from dtqs.api.access.auth import Auth
from dtqs.api.access.tickets import Tickets
from dtqs.api.http.body import close_connection, wait_for_client
from dtqs.api.http.query import Query, checked_id
from dtqs.api.stream.client_socket import HEADERS, STALLED_SECONDS, ClientSocket, StreamPace
from dtqs.api.stream.frames import HEARTBEAT, encode, retry
from dtqs.api.stream.hub import Hub
from dtqs.api.stream.opening import TaskNow, begin, look
from dtqs.api.stream.position import ENDED, Position
from dtqs.api.stream.position import decode as decode_position
from dtqs.api.stream.sharing import SharedReads
from dtqs.api.stream.watcher import Watcher
from dtqs.api.submit.turns import Turns
from dtqs.config import ApiSection
from dtqs.errors import NotFound, StoreUnavailable
from dtqs.store.driver.lending import BORROWER, for_the_process
from dtqs.store.reads import Reads

TASKS_LIMIT = 100
_NO_TURN: AbstractContextManager[None] = nullcontext()
_CHUNK_FRAMES, _CHUNK_BYTES = 64, 1 << 20


class Sse:
    def __init__(
        self,
        auth: Auth,
        tickets: Tickets,
        reads: Reads,
        hub: Hub,
        section: ApiSection,
        patience_seconds: float,
        turns: Turns,
    ) -> None:
        """`patience_seconds`: the longest wait for a turn to read, when many streams are opened at the same time.

        `turns` are for openings of several tasks, which read more.
        """
        self._auth, self._tickets, self._reads, self._hub, self._section = auth, tickets, reads, hub, section
        self._turns = turns
        self._shared = SharedReads(for_the_process(reads.first), patience_seconds)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = Query(req, ("task_id", "ticket", "last_event_id"))
        named = query.texts("task_id", TASKS_LIMIT)
        query.check()
        task_ids = list(dict.fromkeys(map(checked_id, named)))
        seen = decode_position(req.get_header("Last-Event-ID") or query.first("last_event_id"), task_ids)
        try:
            owner, holder = self._permit(req, query.first("ticket"), task_ids)
            if all(seen.get(task_id) == ENDED for task_id in task_ids):
                resp.status = falcon.HTTP_204
                return
            resp.stream = self._open(req, task_ids, seen, owner, holder)
        except StoreUnavailable:
            # an EventSource reconnects after an end, but not after an error
            resp.stream = [retry(self._section.sse_retry_seconds)]
        resp.content_type = "text/event-stream"
        resp.set_headers(HEADERS)
        wait_for_client(req.env, STALLED_SECONDS)
        close_connection(req)

    def _permit(self, req: falcon.Request, ticket: str, task_ids: list[str]) -> tuple[str | None, str]:
        """Return the owner of the tasks to show, None for any, and the key for which the stream counts.

        A ticket permits its own tasks, without a key.

        Raises HTTPUnauthorized, HTTPForbidden, NotFound, StoreUnavailable.
        """
        if not ticket or not self._auth.enabled:
            caller = self._auth.require(req, "read")
            return caller.owner, caller.name_space
        opened = self._tickets.open(ticket)
        for task_id in task_ids:
            if not opened.covers(task_id):
                raise NotFound("task", task_id)
        BORROWER.set(opened.key_id)
        return None, opened.key_id

    def _open(
        self, req: falcon.Request, task_ids: list[str], seen: dict[str, int], owner: str | None, holder: str
    ) -> Iterator[bytes]:
        positions = {task_id: seen.get(task_id, 0) for task_id in task_ids if seen.get(task_id) != ENDED}
        if not self._hub.admits(holder, self._section.max_streams, len(positions)):
            return iter([retry(self._section.sse_retry_seconds)])
        line, watcher = ClientSocket(req.env.get("gunicorn.socket")), Watcher(positions, holder)
        stream = Stream(
            self._hub,
            watcher,
            line,
            task_ids,
            seen,
            StreamPace(self._section.sse_heartbeat_seconds, self._section.sse_retry_seconds),
        )
        self._hub.add(watcher)
        try:
            with self._turns.taken(holder, 1) if len(task_ids) > 1 else _NO_TURN:
                begin(self._reads, self._hub, watcher, seen, task_ids, self._look(task_ids, owner, holder))
        except BaseException:
            stream.close()
            raise
        self._hub.ready(watcher)
        line.watch(watcher.leave)
        return stream

    def _look(self, task_ids: list[str], owner: str | None, holder: str) -> Sequence[TaskNow]:
        """Return the tasks. Most streams follow one, and share its read. Raises StoreUnavailable."""
        if len(task_ids) > 1:
            return look(self._reads, task_ids, owner)
        task = self._shared.task(task_ids[0], owner, holder)
        return [] if task is None else [task]


class Stream:
    """The body of the answer: frames as they come, a heartbeat during pauses, and the end."""

    def __init__(
        self,
        hub: Hub,
        watcher: Watcher,
        line: ClientSocket,
        task_ids: list[str],
        seen: dict[str, int],
        pace: StreamPace,
        opening: bytes = b"",
    ) -> None:
        """`opening` is sent before the events of the hub."""
        self._hub, self._watcher, self._line, self._task_ids, self._pace = hub, watcher, line, task_ids, pace
        self._opening = opening
        self._position = Position(seen)
        self._begun = self._over = False
        watcher.cut = line.cut

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._line.allow_time()
        self._watcher.let_go()
        chunk = self._first_chunk() if not self._begun else self._next_chunk()
        self._watcher.hold(len(chunk))
        return chunk

    def close(self) -> None:
        """Leave the hub. The server calls it however the stream ends. Safe to call twice."""
        self._line.unwatch()
        self._hub.remove(self._watcher, self._task_ids)

    def _first_chunk(self) -> bytes:
        self._begun = True
        if self._watcher.queue:
            self._hub.sending.turn(self._watcher.holder)
        opening, self._opening = self._opening, b""
        return retry(self._pace.retry_seconds) + opening + self._take()

    def _next_chunk(self) -> bytes:
        watcher = self._watcher
        while True:
            if self._over or self._line.gone:
                raise StopIteration
            if not (watcher.queue or watcher.positions):
                # to end a stream takes as long as to send: let the others have their outcomes first
                gevent.sleep(0)
                raise StopIteration
            if watcher.leaving:
                self._over = True
                return retry(self._pace.retry_seconds)
            if watcher.queue:
                self._hub.sending.turn(watcher.holder)
                if watcher.leaving or not watcher.queue:
                    continue
                return self._take()
            watcher.wake.clear()
            if not watcher.wake.wait(self._pace.heartbeat_seconds):
                return HEARTBEAT

    def _take(self) -> bytes:
        """Encode queued events, each with the position of the whole stream after it."""
        frames: list[bytes] = []
        room = _CHUNK_BYTES
        while self._watcher.queue and len(frames) < _CHUNK_FRAMES and room > 0:
            frame = self._watcher.take()
            self._position.move(frame.task_id, frame.position)
            frames.append(encode(frame, self._position.text()))
            room -= len(frames[-1])
        if frames:
            self._hub.sending.spend(len(frames), _CHUNK_BYTES - room)
        if self._watcher.behind and self._watcher.is_low:
            self._hub.catch_up(self._watcher)
        return b"".join(frames)
