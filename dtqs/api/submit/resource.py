"""POST /submit: accept a task, or an array of tasks, as soon as PostgreSQL has it durably. RabbitMQ may be away."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import falcon
import orjson

from dtqs.api.access.auth import Auth, Caller
from dtqs.api.http.body import read_body, require_json
from dtqs.api.http.byte_room import ByteRoom
from dtqs.api.http.held_answers import free_answer, hold_answer
from dtqs.api.http.query import refuse_parameters
from dtqs.api.http.request_ids import current_origin
from dtqs.api.stream.following import SubmitFollowing
from dtqs.api.submit.ceilings import SubmitLimits
from dtqs.api.submit.examine import Examiner, Judged, SubmittedBody
from dtqs.api.submit.gather import WAITING_BYTES, Gather
from dtqs.api.submit.hinting import Hinting
from dtqs.api.submit.intake import Intake
from dtqs.api.submit.room import Room
from dtqs.api.submit.task_links import Links
from dtqs.api.submit.turns import Turns
from dtqs.errors import BodiesFull, Invalid, Problem, StoreUnavailable, TooManyRequests
from dtqs.store.reads import Reads
from dtqs.store.tasks import IdempotencyKey, Tasks
from dtqs.task import NewTask, Status

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
Earlier = list[str] | None
"""The tasks of the submit that this one repeats, if they are known already."""
_LEAST_ANSWER_BYTES = 200
"""A task's part of the answer is not shorter. Room for the answer of an array is held before the array is stored."""
_NO_ROOM_NEEDED: AbstractContextManager[Earlier] = nullcontext()
Accepted = tuple[list[str], Mapping[str, Status] | None]
"""The ids of accepted tasks, and their statuses; None if all are pending."""


class Submit:
    """Runs at most `arrays_at_once` transactions of arrays and keys at once, so that others get a connection."""

    def __init__(
        self, auth: Auth, examiner: Examiner, intake: Intake, limits: SubmitLimits, room: Room, gather: Gather,
        hinting: Hinting, links: Links, tasks: Tasks, reads: Reads, following: SubmitFollowing,
        max_body_bytes: int, idempotency_hours: float, arrays_at_once: int, patience_seconds: float,
        answers: ByteRoom,
    ) -> None:  # fmt: skip
        self._auth, self._examiner, self._intake, self._limits = auth, examiner, intake, limits
        self._gather, self._hinting, self._links = gather, hinting, links
        self._tasks, self._reads, self._room, self._following = tasks, reads, room, following
        self._max_body_bytes, self._idempotency_hours = max_body_bytes, idempotency_hours
        self._answers = answers
        self._bodies = ByteRoom(max_body_bytes, BodiesFull)
        self._turns = Turns(
            patience_seconds,
            WAITING_BYTES,
            arrays_at_once,
            lambda: StoreUnavailable("too many arrays wait to be stored"),
        )

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        caller = self._auth.require(req, "submit")
        refuse_parameters(req)
        require_json(req)
        has_key, followed, share = "HTTP_IDEMPOTENCY_KEY" in req.env, None, self._bodies.share(caller.name_space)
        try:
            body = read_body(req, self._max_body_bytes, share.cover)
            judged = self._examiner.judge(SubmittedBody(body, caller.key_id, has_key))
            del body
            key = self._key(req, judged.body_hash, caller) if has_key else None
            tasks, earlier = self._allowed(judged, key, caller)
            followed = self._following.begin(req, tasks, caller.name_space)
            with self._room_for(tasks, key, caller, earlier) as earlier:
                if key is None and len(tasks) == 1:
                    self._gather.submit(tasks[0])
                    ids, statuses = [tasks[0].task_id], None
                else:
                    ids, statuses = self._store(req, tasks, key, earlier)
            answer = self._links.accepted(ids, caller.name_space, statuses)
            resp.status = falcon.HTTP_202
            resp.content_type = falcon.MEDIA_JSON
            resp.set_header("Location", self._links.array(ids) if judged.many else self._links.task(ids[0]))
            resp.data = orjson.dumps(answer if judged.many else answer[0])
            if followed is not None:
                del judged, tasks  # thousands of submits may wait here, and a payload may have megabytes
                share.free()
                free_answer(req)
                followed.answer(resp, ids, are_new=statuses is None)
        except BaseException:
            free_answer(req)
            if followed is not None:
                followed.close()
            raise
        finally:
            share.free()

    def _allowed(self, judged: Judged, key: IdempotencyKey | None, caller: Caller) -> tuple[list[NewTask], Earlier]:
        """Return the tasks, within the key's ceilings.

        Ceilings, limits and uploads may have changed since the submit that this one repeats, so they do not matter
        then. Raises Invalid, AboveCeiling, StoreUnavailable.
        """
        try:
            try:
                tasks = self._intake.complete(judged.examined, caller.owner)
            finally:
                if key is not None and judged.unnamed is not None:
                    key.content_hash = judged.unnamed.content_hash(judged.examined.sums)
            origin = current_origin()
            for task in tasks:
                task.origin = origin
            return tasks if caller.ceilings is None else self._limits.within(tasks, caller.ceilings, judged.many), None
        except Invalid:
            earlier = None if key is None else self._tasks.earlier_ids(key)
            if earlier is None:
                raise
            return judged.examined.tasks, earlier

    def _room_for(
        self, tasks: Sequence[NewTask], key: IdempotencyKey | None, caller: Caller, earlier: Earlier
    ) -> AbstractContextManager[Earlier]:
        """Hold room for tasks of a key with `max_pending`. Raises TooManyRequests, in `with`."""
        if caller.key_id is None or caller.ceilings is None or caller.ceilings.max_pending is None or earlier:
            return _NO_ROOM_NEEDED if earlier is None else nullcontext(earlier)
        return self._taken(caller.key_id, caller.ceilings.max_pending, len(tasks), key)

    @contextmanager
    def _taken(self, key_id: str, most: int, count: int, key: IdempotencyKey | None) -> Iterator[Earlier]:
        """Hold room, or return the tasks of an earlier submit, which need none. Raises TooManyRequests."""
        earlier: Earlier = None
        with ExitStack() as room:
            try:
                room.enter_context(self._room.taken(key_id, most, count))
            except TooManyRequests:
                earlier = None if key is None else self._tasks.earlier_ids(key)
                if earlier is None:
                    raise
            yield earlier

    def _store(
        self, req: falcon.Request, tasks: Sequence[NewTask], key: IdempotencyKey | None, earlier: Earlier
    ) -> Accepted:
        """Store an array, or tasks under an idempotency key, in a commit of their own: all or none."""
        if earlier is not None:
            hold_answer(req, self._answers, len(earlier) * _LEAST_ANSWER_BYTES)
            return earlier, self._statuses(earlier)
        if key is not None:
            return self._store_once(req, tasks, key)
        with self._turn(tasks):
            hold_answer(req, self._answers, len(tasks) * _LEAST_ANSWER_BYTES)
            stored = self._tasks.insert(tasks)
        self._hinting.stored(tasks, stored)
        return [task.task_id for task in tasks], None

    def _store_once(self, req: falcon.Request, tasks: Sequence[NewTask], key: IdempotencyKey) -> Accepted:
        """Store under an idempotency key. A repeated submit gets the first one's tasks, with their present statuses."""
        with self._turn(tasks):
            hold_answer(req, self._answers, len(tasks) * _LEAST_ANSWER_BYTES)
            ids, stored = self._tasks.insert_once(tasks, key)
        if ids == [task.task_id for task in tasks]:
            self._hinting.stored(tasks, stored)
            return ids, None
        return ids, self._statuses(ids)

    def _statuses(self, task_ids: Sequence[str]) -> Mapping[str, Status]:
        return {watched.task_id: watched.status for watched in self._reads.watched(task_ids)}

    def _turn(self, tasks: Sequence[NewTask]) -> AbstractContextManager[None]:
        """Hold one of the turns of arrays and keys, which are fair between API keys. Raises StoreUnavailable."""
        return self._turns.taken(tasks[0].submitted_by, sum(len(task.payload) for task in tasks))

    def _key(self, req: falcon.Request, body_hash: bytes, caller: Caller) -> IdempotencyKey:
        """Return the idempotency key of a request. Raises Invalid."""
        text = req.env["HTTP_IDEMPOTENCY_KEY"]
        if not _KEY.fullmatch(text):
            raise Invalid(
                [Problem("Idempotency-Key", "1 to 255 printable ASCII characters without spaces are allowed")]
            )
        return IdempotencyKey(caller.name_space, text, body_hash, self._idempotency_hours)
