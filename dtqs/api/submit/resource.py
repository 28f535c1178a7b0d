"""POST /submit: a task, or an array of them, is accepted when it is durable; RabbitMQ is not waited for."""

import re
from collections.abc import Callable, Sequence

import falcon
import orjson
from gevent import get_hub
from gevent.lock import BoundedSemaphore

from dtqs.api.access.auth import Auth, Caller
from dtqs.api.http.body import read_body, require_json
from dtqs.api.http.query import refuse_parameters
from dtqs.api.submit.ceilings import SubmitLimits
from dtqs.api.submit.examine import Examiner, SubmittedBody
from dtqs.api.submit.gather import Gather
from dtqs.api.submit.hinting import Hinting
from dtqs.api.submit.intake import Intake
from dtqs.api.submit.room import Room
from dtqs.api.submit.task_links import Links
from dtqs.errors import Invalid, Problem, StoreUnavailable, TooManyRequests
from dtqs.store.reads import Reads
from dtqs.store.tasks import IdempotencyKey, Tasks
from dtqs.task import NewTask

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Submit:
    """`arrays_at_once` transactions of arrays and idempotency keys may run at once: others must get a connection too."""

    def __init__(
        self, auth: Auth, examiner: Examiner,
        intake: Intake, limits: SubmitLimits, room: Room, gather: Gather, hinting: Hinting, links: Links, tasks: Tasks, reads: Reads,
        max_body_bytes: int, idempotency_hours: float, arrays_at_once: int, patience_seconds: float,
    ) -> None:  # fmt: skip
        self._auth, self._examiner, self._intake, self._gather, self._hinting, self._links = (
            auth,
            examiner,
            intake,
            gather,
            hinting,
            links,
        )
        self._tasks, self._reads, self._limits, self._room = tasks, reads, limits, room
        self._max_body_bytes, self._idempotency_hours = max_body_bytes, idempotency_hours
        self._turn, self._patience_seconds = BoundedSemaphore(arrays_at_once), patience_seconds

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        caller = self._auth.require(req, "submit")
        refuse_parameters(req)
        require_json(req)
        hashed = "HTTP_IDEMPOTENCY_KEY" in req.env
        judged = self._examiner.judge(SubmittedBody(read_body(req, self._max_body_bytes), caller.key_id, hashed))
        tasks = self._intake.complete(judged.examined, caller.owner)
        many = judged.many
        key = self._key(req, judged.body_hash, caller) if hashed else None
        if caller.ceilings is not None:
            tasks = self._limits.within(tasks, caller.ceilings, many)
        answer = self._accept(tasks, key) if caller.ceilings is None else self._accept_within(tasks, key, caller)
        resp.status = falcon.HTTP_202
        resp.content_type = falcon.MEDIA_JSON
        ids = [str(one["task_id"]) for one in answer]
        resp.set_header("Location", self._links.array(ids) if many else self._links.task(ids[0]))
        resp.data = orjson.dumps(answer if many else answer[0])

    def _accept(self, tasks: Sequence[NewTask], key: IdempotencyKey | None) -> list[dict[str, object]]:
        return self._store(tasks) if key is None else self._store_once(tasks, key)

    def _accept_within(
        self, tasks: Sequence[NewTask], key: IdempotencyKey | None, caller: Caller
    ) -> list[dict[str, object]]:
        """Accept tasks of a key with ceilings. A submit that is said again has its room already. Raises TooManyRequests."""
        if caller.key_id is None or caller.ceilings is None or caller.ceilings.max_pending is None:
            return self._accept(tasks, key)
        try:
            with self._room.taken(caller.key_id, caller.ceilings.max_pending, len(tasks)):
                return self._accept(tasks, key)
        except TooManyRequests:
            if key is None or not self._tasks.is_known(key):
                raise
        return self._accept(tasks, key)

    def _store(self, tasks: Sequence[NewTask]) -> list[dict[str, object]]:
        """An array is its own commit, all or none; what is single shares one. The answer is made while PostgreSQL commits."""
        answer = Meanwhile(lambda: self._links.accepted([task.task_id for task in tasks]))
        if len(tasks) == 1:
            self._gather.submit(tasks[0])
            return answer.get()
        with self._turns():
            stored = self._tasks.insert(tasks)
        self._hinting.stored(tasks, stored)
        return answer.get()

    def _store_once(self, tasks: Sequence[NewTask], key: IdempotencyKey) -> list[dict[str, object]]:
        """Store under an idempotency key; a repeated submit is answered like the first, with where its tasks are now."""
        with self._turns():
            ids, stored = self._tasks.insert_once(tasks, key)
        if ids == [task.task_id for task in tasks]:
            self._hinting.stored(tasks, stored)
            return self._links.accepted(ids)
        return self._links.accepted(ids, {watched.task_id: watched.status for watched in self._reads.watched(ids)})

    def _turns(self) -> "_Turn":
        return _Turn(self._turn, self._patience_seconds)

    def _key(self, req: falcon.Request, body_hash: bytes, caller: Caller) -> IdempotencyKey:
        """Raises Invalid."""
        text = req.env["HTTP_IDEMPOTENCY_KEY"]
        if not _KEY.fullmatch(text):
            raise Invalid(
                [Problem("Idempotency-Key", "1 to 255 printable ASCII characters without spaces are allowed")]
            )
        return IdempotencyKey(caller.name_space, text, body_hash, self._idempotency_hours)


class Meanwhile:
    """Work that waits for nothing, done in the loop's next turn, so while the request waits for something; or else when it is asked for."""

    def __init__(self, work: Callable[[], list[dict[str, object]]]) -> None:
        self._work = work
        self._value: list[dict[str, object]] | None = None
        get_hub().loop.run_callback(self._do)

    def get(self) -> list[dict[str, object]]:
        self._do()
        assert self._value is not None
        return self._value

    def _do(self) -> None:
        if self._value is None:
            self._value = self._work()


class _Turn:
    """Holds one of the turns, or gives up in time."""

    def __init__(self, turn: BoundedSemaphore, patience_seconds: float) -> None:
        self._turn, self._patience_seconds = turn, patience_seconds

    def __enter__(self) -> None:
        if not self._turn.acquire(timeout=self._patience_seconds):
            raise StoreUnavailable("too many arrays wait to be stored")

    def __exit__(self, *_: object) -> None:
        self._turn.release()
