"""Tasks: insert, cancel, retry by a person. A worker changes tasks through its lease (leases.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dtqs.errors import Conflict, Invalid, NotFound, Problem, StoreUnavailable
from dtqs.store.driver.connection import Row
from dtqs.store.driver.database import Database, Run
from dtqs.store.driver.statements import array, binary_texts, sparse, text_array
from dtqs.store.earlier import EarlierTry
from dtqs.task import NewTask, Status


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored task. `publish_at` is the exact value of its backlog row, as text; `due`: it is due now."""

    task_id: str
    publish_at: str
    due: bool


@dataclass(slots=True)
class IdempotencyKey:
    """The client's name for a submit. It belongs to an API key.

    `body_hash` shows whether the submit is the same. So does `content_hash`, for a body that names uploads: it is the
    same if another upload has the same bytes. It is known later than the rest.
    """

    api_key_id: str
    key: str
    body_hash: bytes
    hours: float
    content_hash: bytes = b""

    def is_of(self, body_hash: bytes, content_hash: bytes | None) -> bool:
        """Tell whether the body of the key's first submit, by its stored hashes, is this one."""
        return body_hash == self.body_hash or (bool(content_hash) and content_hash == self.content_hash)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The result of a cancel for one task: it ended (`log_id` is its log row), or runs and has a request now."""

    task_id: str
    ended: bool
    log_id: int | None


@dataclass(frozen=True, slots=True)
class NewRetry:
    """The task that a person's retry submitted. If an earlier call did, `fresh` is false and the rest is empty."""

    task_id: str
    fresh: bool
    task_type: str = ""
    light: bool = False
    priority: int = 0
    publish_at: str = ""


@dataclass(frozen=True, slots=True)
class Caps:
    """The maximum that a retry takes over from the old task. None: no maximum.

    `default_timeout_seconds` is for a task without a time limit of its own.
    """

    max_retries: int | None = None
    max_timeout_seconds: float | None = None
    default_timeout_seconds: float | None = None


_NO_CAPS = Caps()


class Tasks:
    def __init__(self, database: Database, grace_seconds: float) -> None:
        self._database, self._grace = database, grace_seconds

    def insert(self, tasks: Sequence[NewTask]) -> list[Stored]:
        """Store tasks, all or none, in one commit. Returns those that this call inserted: none if it is a repetition.

        Raises StoreUnavailable.
        """
        columns = _columns(tasks, self._grace)
        rows = self._database.run("insert_tasks", columns, again="insert_tasks_again")
        if len(rows) < len(tasks):
            rows += self._database.confirm("insert_tasks_again", columns)
        return [_stored(row) for row in rows]

    def insert_once(self, tasks: Sequence[NewTask], key: IdempotencyKey) -> tuple[list[str], list[Stored]]:
        """Store tasks under an idempotency key. Returns the ids of the key's first submit, and the tasks inserted now.

        Raises Conflict if the key was used with another body, StoreUnavailable.
        """
        ids = [task.task_id for task in tasks]
        parameters = {
            "api_key_id": key.api_key_id,
            "key": key.key,
            "body_hash": key.body_hash,
            "content_hash": key.content_hash,
            "ids": array(ids),
            "hours": key.hours,
        }

        stored: list[Row] = []

        def work(run: Run) -> tuple[list[str], list[Row]]:
            run("expire_key", parameters)
            if run("insert_key", parameters):  # so no earlier try has stored the tasks
                stored[:] = run("insert_tasks", _columns(tasks, self._grace))
                return ids, stored
            found = run("read_key", parameters)
            run("wait_for_earlier")
            if not found:  # it expired between the two statements
                raise StoreUnavailable("the idempotency key has just expired")
            body_hash, content_hash, first_ids = found[0]
            if not key.is_of(body_hash, content_hash):
                raise Conflict("this Idempotency-Key was used with another body")
            # an earlier try of this call, whose reply was lost, has stored these tasks
            return list(first_ids), stored if list(first_ids) == ids else []

        first, rows = self._database.transaction(work)
        return first, [_stored(row) for row in rows]

    def pending_of(self, key_id: str, limit: int) -> int:
        """Return the number of pending tasks of a key with `max_pending`, counted up to the limit.

        Raises StoreUnavailable.
        """
        ((count,),) = self._database.run("count_pending", {"key_id": key_id, "limit": limit})
        return int(count)

    def earlier_ids(self, key: IdempotencyKey) -> list[str] | None:
        """Return the tasks of an earlier submit with this key and body, or None. Raises StoreUnavailable."""
        rows = self._database.run("read_key", {"api_key_id": key.api_key_id, "key": key.key, "hours": key.hours})
        return list(rows[0][2]) if rows and key.is_of(rows[0][0], rows[0][1]) else None

    def cancel(self, task_ids: Sequence[str]) -> list[Cancelled]:
        """Cancel tasks that have no outcome: pending ones end, running ones get a request. Other tasks are left out.

        Raises StoreUnavailable.
        """
        earlier = EarlierTry()

        def work(run: Run) -> list[Row]:
            # Only the locked tasks: one committed in between could be claimed and come back unseen.
            locked = [row[0] for row in run("cancel_lock", {"ids": array(task_ids)})]
            landed = earlier.landed(run) or []
            done = run("cancel", {"ids": array(locked)}) if locked else []
            if not locked:
                run("wait_for_earlier")  # an earlier cancel may have ended them
            return earlier.note([*landed, *done])

        return [
            Cancelled(task_id, outcome is not None, log_id)
            for log_id, task_id, outcome in self._database.transaction(work)
        ]

    def retry(
        self,
        task_id: str,
        new_id: str,
        owner: str | None = None,
        needed: Mapping[str, Problem] | None = None,
        caps: Caps = _NO_CAPS,
        origin: str | None = None,
    ) -> NewRetry:
        """Submit a copy of a failed or cancelled task, for the same owner. A second call returns the first one's task.

        The retention of the files that its payload names, and of those in `needed`, begins anew, if they belong to
        `owner` (None: to anybody). `needed` maps the ids of files that must exist to the problem to report otherwise.
        Raises NotFound, Conflict (the task is neither failed nor cancelled), Invalid, StoreUnavailable.
        """
        needed = needed or {}
        parameters = {
            "id": new_id,
            "retry_of": task_id,
            "grace": self._grace,
            "owner": owner,
            "needed": array(list(needed)),
            "max_retries": caps.max_retries,
            "max_timeout": caps.max_timeout_seconds,
            "default_timeout": caps.default_timeout_seconds,
            "origin": origin,
        }
        earlier: list[Row] = []

        def work(run: Run) -> tuple[list[Row], list[Row]]:
            if not _may_insert(run("read_retry", parameters)):
                return _found_retry(run, parameters, earlier)
            # refuse before the insert: a payload of megabytes that is rolled back stays in the table and the WAL
            _keep_files(run, parameters, needed)
            inserted = run("insert_retry", parameters)
            if not inserted:
                return _found_retry(run, parameters, earlier)
            earlier[:] = inserted
            return inserted, []

        rows, found = self._database.transaction(work)
        if rows:
            inserted, task_type, light, priority, publish_at = rows[0]
            return NewRetry(inserted, True, task_type, light, priority, publish_at)
        return _earlier_retry(task_id, found)

    def retried(self, task_id: str) -> NewRetry | None:
        """Return the existing retry of a task, or None. Raises StoreUnavailable."""
        found = self._database.confirm("read_retry", {"retry_of": task_id})
        return NewRetry(found[0][1], False) if found and found[0][1] else None


def _may_insert(found: Sequence[Row]) -> bool:
    """Tell whether the task may be retried and has no retry yet. Another call may still be the first to insert one."""
    return bool(found) and found[0][0] in (Status.FAILED, Status.CANCELLED) and found[0][1] is None


def _keep_files(run: Run, parameters: Mapping[str, object], needed: Mapping[str, Problem]) -> None:
    """Keep the files that a retry names. Raises Invalid if a needed one is gone, mostly without reading the payload."""
    if needed:
        _require(needed, run("read_files", {"ids": parameters["needed"], "owner": parameters["owner"]}))
    _require(needed, run("keep_named", parameters))


def _require(needed: Mapping[str, Problem], found: Sequence[Row]) -> None:
    """Raise Invalid if one of the needed files is not among the rows that were found."""
    there = {row[0] for row in found}
    if gone := [problem for file_id, problem in needed.items() if file_id not in there]:
        raise Invalid(gone)


def _found_retry(run: Run, parameters: Mapping[str, object], inserted: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the retry that exists. If it is of an earlier try of this call, return what that `inserted`, too."""
    found = run("read_retry", parameters)
    run("wait_for_earlier")
    return [row for row in inserted if found and row[0] == found[0][1]], found


def _earlier_retry(task_id: str, found: Sequence[Row]) -> NewRetry:
    """Return the retry that exists already. Raises NotFound, Conflict."""
    if not found:
        raise NotFound("task", task_id)
    outcome, retry_id = found[0]
    if retry_id is None:
        raise Conflict(f"only a failed or cancelled task can be retried, this one is {outcome or 'not finished'}")
    return NewRetry(retry_id, False)


def _stored(row: Row) -> Stored:
    return Stored(row[0], row[1], row[2] == "true")


def _columns(tasks: Sequence[NewTask], grace_seconds: float) -> dict[str, object]:
    """Return tasks as arrays, one per column. For an unused column unnest fills an empty array with nulls."""
    tagged = any(task.tags for task in tasks)
    origins = [task.origin for task in tasks]
    return {
        "ids": array([task.task_id for task in tasks]),
        "types": array([task.task_type for task in tasks]),
        "lights": array(["t" if task.light else "f" for task in tasks]),
        "payloads": binary_texts([task.payload for task in tasks]),
        "priorities": array([str(task.priority) for task in tasks]),
        "retries": array([str(task.max_retries) for task in tasks]),
        "timeouts": sparse([task.timeout_seconds for task in tasks]),
        "due_ats": sparse([task.due_at for task in tasks]),
        "delays": sparse([task.delay_seconds or None for task in tasks]),
        # unnest would flatten nested arrays, so each task's tags are the text of an array
        "tags": binary_texts([text_array(task.tags) if task.tags else None for task in tasks] if tagged else []),
        "origins": text_array(origins) if any(origins) else "{}",
        "owners": sparse([task.submitted_by for task in tasks]),
        "counted": array(list({task.submitted_by for task in tasks if task.counted and task.submitted_by})),
        "grace": grace_seconds,
    }
