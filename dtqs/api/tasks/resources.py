"""The resources of tasks: one task, a page of tasks, a task's log, cancel and retry.

A task of another key answers as if it did not exist.
"""

import time
from contextlib import AbstractContextManager, nullcontext
from urllib.parse import urlencode

import falcon

from dtqs.api.access.auth import Auth, Caller
from dtqs.api.http.answer import answer
from dtqs.api.http.byte_room import ByteRoom
from dtqs.api.http.held_answers import holding_answer
from dtqs.api.http.query import Query, checked_id, refuse_parameters
from dtqs.api.http.request_ids import current_origin
from dtqs.api.submit.ceilings import SubmitLimits
from dtqs.api.submit.examine import Examiner
from dtqs.api.submit.room import Room
from dtqs.api.submit.task_links import PAGE_LIMIT, Links
from dtqs.api.submit.turns import Turns
from dtqs.api.tasks.cursor import Cursors
from dtqs.api.tasks.records import log_row, record
from dtqs.errors import AboveCeiling, Conflict, NotFound, StoreUnavailable, TooManyRequests
from dtqs.operations import Operations
from dtqs.store.api_keys import NO_CEILINGS
from dtqs.store.reads import Reads, TaskFilter
from dtqs.store.tasks import NewRetry, Tasks
from dtqs.task import Status, TaskRecord
from dtqs.uuid7 import made_at

PAGE_DEFAULT = 50
LOGS_DEFAULT, LOGS_LIMIT = 200, 1000
LOG_ID_LIMIT = (1 << 63) - 1


class TaskResource:
    """/tasks/{task_id}. A large task is read with a turn, and with room for the answer."""

    def __init__(self, auth: Auth, reads: Reads, turns: Turns, answers: ByteRoom) -> None:
        self._auth, self._reads, self._turns, self._answers = auth, reads, turns, answers

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        caller = self._auth.require(req, "read")
        refuse_parameters(req)
        known = checked_id(task_id)
        task = self._reads.small(known, caller.owner)
        if task is not None:
            answer(resp, record(task))
            return
        with (
            self._turns.taken(caller.name_space, 1),
            holding_answer(req, resp, self._answers, self._reads.size(known, caller.owner)),
        ):
            answer(resp, record(read_task(self._reads, known, caller)))


class TaskList:
    """/tasks, newest first.

    A page looks at a bounded number of rows. So it may hold few tasks or none, and still have a next page.
    """

    def __init__(self, auth: Auth, reads: Reads, links: Links, cursors: Cursors, turns: Turns) -> None:
        self._auth, self._reads, self._links, self._cursors, self._turns = auth, reads, links, cursors, turns

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        caller = self._auth.require(req, "read")
        query = Query(req, ("status", "task_type", "tag", "retried", "limit", "after"))
        status, limit, after = (
            query.choice("status", [str(status) for status in Status]),
            query.number("limit", PAGE_DEFAULT, 1, PAGE_LIMIT),
            query.cursor("after", self._cursors.open),
        )
        wanted = TaskFilter(
            Status(status) if status else None,
            query.text("task_type"),
            query.text("tag"),
            caller.owner,
            query.choice("retried", ["no"]) is not None,
        )
        query.check()
        with self._turns.taken(caller.name_space, 1):
            page = self._reads.page(wanted, limit, after)
        is_foreign = page.after is not None and caller.owner is not None and not page.after_matches
        following = self._cursors.seal(page.after) if page.after and is_foreign else page.after
        if following:
            chosen = {
                "status": status,
                "task_type": wanted.task_type,
                "tag": wanted.tag,
                "retried": "no" if wanted.unretried else None,
                "limit": limit,
                "after": following,
            }
            resp.append_link(
                self._links.page(urlencode({name: value for name, value in chosen.items() if value is not None})),
                "next",
            )
        searched_to = _time_of(page.after) if page.after else None
        answer(resp, {"tasks": [record(task) for task in page.tasks], "next": following, "searched_to": searched_to})


class TaskLogs:
    """/tasks/{task_id}/logs, oldest first. `after` is the id of a row; `next` is the `after` of the next page."""

    def __init__(self, auth: Auth, reads: Reads, links: Links, turns: Turns) -> None:
        self._auth, self._reads, self._links, self._turns = auth, reads, links, turns

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        caller = self._auth.require(req, "read")
        query = Query(req, ("limit", "after"))
        limit, after = query.number("limit", LOGS_DEFAULT, 1, LOGS_LIMIT), query.number("after", 0, 0, LOG_ID_LIMIT)
        query.check()
        with self._turns.taken(caller.name_space, 1):
            known = require_task(self._reads, task_id, caller)
            rows, more = self._reads.logs_page(known, after, limit)
        following = rows[-1].log_id if more else None
        if following:
            resp.append_link(f"{self._links.task(known)}/logs?after={following}&limit={limit}", "next")
        answer(resp, {"logs": [log_row(row) for row in rows], "next": following})


class Cancel:
    """/tasks/{task_id}/cancel: a pending task ends at once (200), a running one is interrupted (202)."""

    def __init__(self, auth: Auth, reads: Reads, operations: Operations, turns: Turns, answers: ByteRoom) -> None:
        self._auth, self._reads, self._operations, self._turns = auth, reads, operations, turns
        self._answers = answers

    def on_post(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        caller = self._auth.require(req, "submit")
        refuse_parameters(req)
        known = checked_id(task_id)
        with (
            self._turns.taken(caller.name_space, 1),
            holding_answer(req, resp, self._answers, self._reads.size(known, caller.owner)),
        ):
            cancelled = self._operations.cancel(known)
            task = self._read_twice(known, caller)
            if cancelled is None:
                raise Conflict(f"the task has ended already: it is {task.status}")
            answer(resp, record(task), falcon.HTTP_200 if cancelled.ended else falcon.HTTP_202)

    def _read_twice(self, task_id: str, caller: Caller) -> TaskRecord:
        """Return the task. The cancel has happened: one failed read must not hide that."""
        try:
            return read_task(self._reads, task_id, caller)
        except StoreUnavailable:
            return read_task(self._reads, task_id, caller)


class Retry:
    """/tasks/{task_id}/retry: submits a new task like a failed or cancelled one, if its uploads still exist.

    A second call returns the new task of the first.
    """

    def __init__(
        self,
        auth: Auth,
        examiner: Examiner,
        limits: SubmitLimits,
        room: Room,
        reads: Reads,
        tasks: Tasks,
        operations: Operations,
        links: Links,
        turns: Turns,
        answers: ByteRoom,
    ) -> None:
        self._auth, self._examiner, self._limits, self._room = auth, examiner, limits, room
        self._reads, self._tasks, self._operations, self._links = reads, tasks, operations, links
        self._turns, self._answers = turns, answers

    def on_post(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        caller = self._auth.require(req, "submit")
        refuse_parameters(req)
        known, share = checked_id(task_id), self._answers.share(caller.name_space)
        try:
            # many retries may wait for the examiner, each with a record of megabytes
            with self._turns.taken(caller.name_space, 1):
                share.cover(self._reads.size(known, caller.owner))
                task = read_task(self._reads, known, caller)
            new = self._retry(task, caller)
        finally:
            share.free()
        statuses = (
            {} if new.fresh else {watched.task_id: watched.status for watched in self._reads.watched([new.task_id])}
        )
        resp.set_header("Location", self._links.task(new.task_id))
        answer(resp, self._links.accepted([new.task_id], caller.name_space, statuses)[0], falcon.HTTP_202)

    def _retry(self, task: TaskRecord, caller: Caller) -> NewRetry:
        """Retry within the limits and ceilings of a new submit, unless an earlier call has submitted the new task.

        Raises AboveCeiling, TooManyRequests, Conflict, Invalid, NotFound, StoreUnavailable, ExaminerBusy.
        """
        try:
            caps = self._limits.of_retry(task, caller.ceilings or NO_CEILINGS)
            with self._room_for(caller):
                needed = self._examiner.needed(task.task_type, task.payload, caller.key_id)
                with self._turns.taken(caller.name_space, 1):
                    return self._operations.retry(task.task_id, needed, caps, caller.owner, current_origin())
        except (AboveCeiling, TooManyRequests):
            earlier = self._tasks.retried(task.task_id)
            if earlier is None:
                raise
            return earlier

    def _room_for(self, caller: Caller) -> AbstractContextManager[None]:
        if caller.key_id is None or caller.ceilings is None or caller.ceilings.max_pending is None:
            return nullcontext()
        return self._room.taken(caller.key_id, caller.ceilings.max_pending, 1)


def _time_of(task_id: str) -> str:
    """Return when the task was submitted, to the second: the time in its id."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made_at(task_id)))


def require_task(reads: Reads, task_id: str, caller: Caller) -> str:
    """Return the id of a task that exists and that the caller may see. Raises NotFound, StoreUnavailable."""
    known = checked_id(task_id)
    if known not in reads.existing([known], caller.owner):
        raise NotFound("task", known)
    return known


def read_task(reads: Reads, task_id: str, caller: Caller) -> TaskRecord:
    """Return a task that the caller may see. Raises NotFound, StoreUnavailable."""
    return reads.task(checked_id(task_id), caller.owner)
