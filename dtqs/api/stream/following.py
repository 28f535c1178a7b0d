"""Follows the tasks of a submit within its own request: as a stream, or until their outcomes (RFC 7240).

The tasks are watched before they are stored. So no event is lost, and a new task's stream begins without a read.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import falcon

from dtqs.api.http.body import close_connection, forget_body, wait_for_client
from dtqs.api.http.byte_room import SMALL_BYTES, ByteRoom
from dtqs.api.stream.client_socket import HEADERS, STALLED_SECONDS, ClientSocket, StreamPace
from dtqs.api.stream.frames import accepted, of_status, retry
from dtqs.api.stream.hub import Hub
from dtqs.api.stream.opening import begin, look
from dtqs.api.stream.position import ENDED
from dtqs.api.stream.preferences import prefers_stream, wait_seconds
from dtqs.api.stream.resource import TASKS_LIMIT, Stream
from dtqs.api.stream.watcher import QUEUE_BYTES, Watcher
from dtqs.config import ApiSection
from dtqs.errors import Invalid, NotFound, Problem, StoreUnavailable
from dtqs.store.reads import Reads, TaskState
from dtqs.task import NewTask, Status

WAIT_LIMIT_SECONDS = 50
"""A longer `Prefer: wait` is cut to this: many proxies end a request without an answer after 60 s."""
OUTCOMES_BYTES = QUEUE_BYTES
"""Several outcomes above this size are not answered together."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The wish of a request to follow its tasks: as a stream, or for `seconds`."""

    seconds: int | None

    @property
    def is_stream(self) -> bool:
        return self.seconds is None


def wish_of(req: falcon.Request) -> Wish | None:
    """Return the wish of a submit; most have none, which costs 0.6 µs on a busy machine."""
    env = req.env
    accept = env.get("HTTP_ACCEPT")
    if accept is not None and len(accept) > 3 and prefers_stream(accept):
        return Wish(None)
    prefer = env.get("HTTP_PREFER")
    seconds = 0 if prefer is None else wait_seconds(prefer)
    return Wish(min(seconds, WAIT_LIMIT_SECONDS)) if seconds else None


class SubmitFollowing:
    """Makes the watchers of submits. They count as streams, with the same limits.

    No scope is needed beyond `submit`: the ticket in the answer of a submit permits the same.
    """

    def __init__(self, reads: Reads, hub: Hub, section: ApiSection, answers: ByteRoom) -> None:
        self._reads, self._hub, self._section, self._answers = reads, hub, section, answers

    def begin(self, req: falcon.Request, tasks: Sequence[NewTask], holder: str = "") -> "FollowedSubmit | None":
        """Watch the tasks of a request of this API key that wants it, before they are stored. Raises Invalid."""
        wish = wish_of(req)
        if wish is None:
            return None
        if len(tasks) > TASKS_LIMIT:
            if wish.is_stream:
                raise Invalid([Problem("body", _TOO_MANY.format(len(tasks)))])
            return None  # a preference that cannot be met is ignored (RFC 7240, section 2)
        followed = FollowedSubmit(self._reads, self._hub, req, wish, self._section, self._answers, holder)
        if self._hub.admits(holder, self._section.max_streams, len(tasks)):
            followed.watch([task.task_id for task in tasks])
        return followed


_TOO_MANY = f"an array of 1 to {TASKS_LIMIT} tasks is allowed with Accept: text/event-stream, not of {{}}"


class FollowedSubmit:
    """The tasks of one submit. Without a watcher they are not followed."""

    def __init__(
        self,
        reads: Reads,
        hub: Hub,
        req: falcon.Request,
        wish: Wish,
        section: ApiSection,
        answers: ByteRoom,
        holder: str = "",
    ) -> None:
        self._reads, self._hub, self._req, self._wish, self._holder = reads, hub, req, wish, holder
        self._answers = answers
        self._pace = StreamPace(section.sse_heartbeat_seconds, section.sse_retry_seconds)
        self._line = ClientSocket(req.env.get("gunicorn.socket"))
        self._watcher: Watcher | None = None
        self._task_ids: list[str] = []

    def watch(self, task_ids: Sequence[str]) -> None:
        self._task_ids = list(task_ids)
        self._watcher = Watcher(dict.fromkeys(task_ids, 0), self._holder)
        self._hub.add(self._watcher)

    def close(self) -> None:
        """Forget the tasks. Safe to call twice."""
        self._line.unwatch()
        if self._watcher is not None:
            self._hub.remove(self._watcher, self._task_ids)
            self._watcher = None

    def answer(self, resp: falcon.Response, task_ids: Sequence[str], are_new: bool) -> None:
        """Replace the answer of a submit, which is in `resp`. `are_new`: these are the watched tasks, just stored."""
        forget_body(self._req)  # a stream or a wait may last long
        if self._watcher is not None:
            self._begin(self._watcher, task_ids, are_new)
        if self._wish.seconds is None:
            self._stream(resp)
            return
        try:
            if self._watcher is not None:
                self._wait(resp, self._watcher, self._wish.seconds)
        finally:
            self.close()

    def _begin(self, watcher: Watcher, task_ids: Sequence[str], are_new: bool) -> None:
        """Queue the first events, and let the hub serve the watcher."""
        if not are_new:
            self.close()
            self.watch(list(dict.fromkeys(task_ids)))
            watcher = self._watcher or watcher
            try:
                tasks = look(self._reads, self._task_ids, None)
                begin(self._reads, self._hub, watcher, {}, self._task_ids, tasks)
            except (NotFound, StoreUnavailable):
                self.close()  # the tasks are accepted, so this is no error of the submit
                return
        elif self._wish.is_stream:
            for task_id in self._task_ids:
                watcher.put(of_status(TaskState(task_id, Status.PENDING, 0, None), 0))
        self._hub.ready(watcher)
        self._line.watch(watcher.leave)

    def _stream(self, resp: falcon.Response) -> None:
        """Answer with the stream. Its first event is the answer of an ordinary submit."""
        opening = accepted(resp.data or b"")
        resp.status, resp.content_type, resp.data = falcon.HTTP_200, "text/event-stream", None
        resp.set_headers(HEADERS)
        if self._watcher is None:
            resp.stream = [retry(self._pace.retry_seconds) + opening]
        else:
            resp.stream = Stream(self._hub, self._watcher, self._line, self._task_ids, {}, self._pace, opening)
        wait_for_client(self._req.env, STALLED_SECONDS)
        close_connection(self._req)

    def _wait(self, resp: falcon.Response, watcher: Watcher, seconds: int) -> None:
        """Answer with the outcomes, if all come in time."""
        if watcher.leaving:
            return  # the server ends, or lacks room: the preference is not applied
        outcomes = self._outcomes(watcher, time.monotonic() + seconds)
        resp.set_header("Preference-Applied", f"wait={seconds}")
        if outcomes is None or not self._has_room(sum(map(len, outcomes.values()))):
            return
        resp.status = falcon.HTTP_200
        if (resp.data or b"").startswith(b"["):
            resp.data = b"[%s]" % b",".join(outcomes[task_id] for task_id in self._task_ids)
        else:
            resp.data = outcomes[self._task_ids[0]]

    def _has_room(self, size_bytes: int) -> bool:
        return size_bytes <= SMALL_BYTES or self._answers.has_room(self._holder, size_bytes)

    def _outcomes(self, watcher: Watcher, until: float) -> dict[str, bytes] | None:
        """Wait for all outcomes. None: it took too long, they are too large, or the server or the client ends."""
        outcomes: dict[str, bytes] = {}
        left, size_bytes = 1.0, 0
        while left > 0 and not watcher.leaving:
            watcher.wake.clear()
            while watcher.queue:
                frame = watcher.take()
                if frame.position == ENDED:
                    outcomes[frame.task_id] = frame.data
                    size_bytes += len(frame.data)
                    watcher.hold(len(frame.data))
            if len(outcomes) > 1 and size_bytes > OUTCOMES_BYTES:
                return None
            if watcher.behind:
                self._hub.catch_up(watcher)
            if len(outcomes) == len(self._task_ids):
                return outcomes
            left = until - time.monotonic()
            watcher.wake.wait(max(0.0, left))
        return None
