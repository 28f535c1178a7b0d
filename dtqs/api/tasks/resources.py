"""Tasks as resources: one, a page of them, one's log; cancel, and retry by a person. Others' tasks are as good as none."""

from contextlib import AbstractContextManager, nullcontext
from urllib.parse import urlencode

import falcon

from dtqs.api.access.auth import Auth, Caller
from dtqs.api.http.answer import answer
from dtqs.api.http.query import Query, checked_id, refuse_parameters
from dtqs.api.submit.ceilings import SubmitLimits
from dtqs.api.submit.examine import Examiner
from dtqs.api.submit.hinting import Hinting
from dtqs.api.submit.room import Room
from dtqs.api.submit.task_links import PAGE_LIMIT, Links
from dtqs.api.tasks.cursor import Cursors
from dtqs.api.tasks.records import log_row, record
from dtqs.broker.api_link import ApiLink
from dtqs.errors import AboveCeiling, Conflict, NotFound, TooManyRequests
from dtqs.id_run import new_ids
from dtqs.store.api_keys import NO_CEILINGS
from dtqs.store.reads import Reads, TaskFilter
from dtqs.store.tasks import NewRetry, Tasks
from dtqs.store.workers import ProcessTotals
from dtqs.task import Due, Status, TaskRecord

PAGE_DEFAULT = 50
LOGS_DEFAULT, LOGS_LIMIT = 200, 1000
LOG_ID_LIMIT = (1 << 63) - 1


class TaskResource:
    """/tasks/{task_id}"""

    def __init__(self, auth: Auth, reads: Reads) -> None:
        self._auth, self._reads = auth, reads

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        caller = self._auth.require(req, "read")
        refuse_parameters(req)
        answer(resp, record(read_task(self._reads, task_id, caller)))


class TaskList:
    """/tasks: newest first; a page looks at a bounded number of rows, so it may hold few or none and have a next all the same."""

    def __init__(self, auth: Auth, reads: Reads, links: Links, cursors: Cursors) -> None:
        self._auth, self._reads, self._links, self._cursors = auth, reads, links, cursors

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        caller = self._auth.require(req, "read")
        query = Query(req, ("status", "task_type", "tag", "limit", "after"))
        status, limit, after = (
            query.choice("status", [str(status) for status in Status]),
            query.number("limit", PAGE_DEFAULT, 1, PAGE_LIMIT),
            query.cursor("after", self._cursors.open),
        )
        wanted = TaskFilter(
            Status(status) if status else None, query.text("task_type"), query.text("tag"), caller.owner
        )
        query.check()
        page = self._reads.page(wanted, limit, after)
        is_foreign = page.after is not None and caller.owner is not None and not page.after_matches
        following = self._cursors.seal(page.after) if page.after and is_foreign else page.after
        if following:
            chosen = {
                "status": status,
                "task_type": wanted.task_type,
                "tag": wanted.tag,
                "limit": limit,
                "after": following,
            }
            resp.append_link(
                self._links.page(urlencode({name: value for name, value in chosen.items() if value is not None})),
                "next",
            )
        answer(resp, {"tasks": [record(task) for task in page.tasks], "next": following})


class TaskLogs:
    """/tasks/{task_id}/logs: in their order; `after` is a row's id, and `next` the one to go on with."""

    def __init__(self, auth: Auth, reads: Reads, links: Links) -> None:
        self._auth, self._reads, self._links = auth, reads, links

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        caller = self._auth.require(req, "read")
        query = Query(req, ("limit", "after"))
        limit, after = query.number("limit", LOGS_DEFAULT, 1, LOGS_LIMIT), query.number("after", 0, 0, LOG_ID_LIMIT)
        query.check()
        known = require_task(self._reads, task_id, caller)
        rows = self._reads.logs(known, after, limit)
        following = rows[-1].log_id if len(rows) == limit else None
        if following:
            resp.append_link(f"{self._links.task(known)}/logs?after={following}&limit={limit}", "next")
        answer(resp, {"logs": [log_row(row) for row in rows], "next": following})


class Cancel:
    """/tasks/{task_id}/cancel: a pending task ends at once (200), a running one is interrupted (202)."""

    def __init__(self, auth: Auth, reads: Reads, tasks: Tasks, link: ApiLink, totals: ProcessTotals) -> None:
        self._auth, self._reads, self._tasks, self._link, self._totals = auth, reads, tasks, link, totals

    def on_post(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        caller = self._auth.require(req, "submit")
        refuse_parameters(req)
        known = require_task(self._reads, task_id, caller)
        done = self._tasks.cancel([known])
        if not done:
            raise Conflict(f"the task has ended already: it is {read_task(self._reads, known, caller).status}")
        if done[0].ended:
            self._totals.cancelled += 1
            self._link.publish_events([(done[0].log_id, known, Status.CANCELLED.value)])
        else:
            self._link.publish_cancel([known])
        answer(
            resp, record(read_task(self._reads, known, caller)), falcon.HTTP_200 if done[0].ended else falcon.HTTP_202
        )


class Retry:
    """/tasks/{task_id}/retry: submits a new task like a failed or cancelled one, if its uploads are there; a second call returns the first one's."""

    def __init__(
        self,
        auth: Auth,
        examiner: Examiner,
        limits: SubmitLimits,
        room: Room,
        reads: Reads,
        tasks: Tasks,
        hinting: Hinting,
        links: Links,
        totals: ProcessTotals,
    ) -> None:
        self._auth, self._examiner, self._limits, self._room = auth, examiner, limits, room
        self._reads, self._tasks, self._hinting, self._links, self._totals = reads, tasks, hinting, links, totals

    def on_post(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        caller = self._auth.require(req, "submit")
        refuse_parameters(req)
        task = read_task(self._reads, task_id, caller)
        new = self._retry(task, caller)
        if new.fresh:
            self._totals.submitted += 1
            self._hinting.publish([Due(new.task_id, new.task_type, new.light, new.priority, new.publish_at)])
        statuses = (
            {} if new.fresh else {watched.task_id: watched.status for watched in self._reads.watched([new.task_id])}
        )
        resp.set_header("Location", self._links.task(new.task_id))
        answer(resp, self._links.accepted([new.task_id], statuses)[0], falcon.HTTP_202)

    def _retry(self, task: TaskRecord, caller: Caller) -> NewRetry:
        """A retry is a new task, and under the limits and ceilings like one; what an earlier call submitted is there already.

        Raises AboveCeiling, TooManyRequests, Conflict, Invalid, NotFound, StoreUnavailable, ExaminerBusy.
        """
        try:
            caps = self._limits.of_retry(task, caller.ceilings or NO_CEILINGS)
            with self._room_for(caller):
                needed = self._examiner.needed(task.task_type, task.payload, caller.key_id)
                return self._tasks.retry(task.task_id, new_ids(1)[0], caller.owner, needed, caps)
        except (AboveCeiling, TooManyRequests):
            earlier = self._tasks.retried(task.task_id)
            if earlier is None:
                raise
            return earlier

    def _room_for(self, caller: Caller) -> AbstractContextManager[None]:
        if caller.key_id is None or caller.ceilings is None or caller.ceilings.max_pending is None:
            return nullcontext()
        return self._room.taken(caller.key_id, caller.ceilings.max_pending, 1)


def require_task(reads: Reads, task_id: str, caller: Caller) -> str:
    """Return the id of a task that is there and that the caller may see. Raises NotFound, StoreUnavailable."""
    known = checked_id(task_id)
    if known not in reads.existing([known], caller.owner):
        raise NotFound("task", known)
    return known


def read_task(reads: Reads, task_id: str, caller: Caller) -> TaskRecord:
    """Raises NotFound, StoreUnavailable."""
    return reads.task(checked_id(task_id), caller.owner)
