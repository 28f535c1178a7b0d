"""Cancel and retry of a task, shared by the API and the console: change PostgreSQL first, then notify the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dtqs.errors import Problem
from dtqs.event import LogRef
from dtqs.id_run import new_ids
from dtqs.store.tasks import Cancelled, Caps, NewRetry, Tasks
from dtqs.store.workers import ProcessTotals
from dtqs.task import Due, Status


@dataclass(frozen=True, slots=True)
class Notices:
    """How the caller notifies others. None of these raises: keepers and heartbeats make up for a lost message."""

    hints: Callable[[Sequence[Due]], object]
    events: Callable[[Sequence[LogRef]], object]
    cancel_requests: Callable[[Sequence[str]], object]


class Operations:
    """A person's operations on one task."""

    def __init__(self, tasks: Tasks, notices: Notices, totals: ProcessTotals) -> None:
        self._tasks, self._notices, self._totals = tasks, notices, totals

    def cancel(self, task_id: str) -> Cancelled | None:
        """Cancel a task: a pending one ends, a running one is interrupted. Return None if it has ended already.

        Raises StoreUnavailable.
        """
        done = self._tasks.cancel([task_id])
        if not done:
            return None
        if done[0].ended:
            self._totals.cancelled += 1
            self._notices.events([(done[0].log_id, task_id, Status.CANCELLED.value)])
        else:
            self._notices.cancel_requests([task_id])
        return done[0]

    def retry(
        self,
        task_id: str,
        needed: Mapping[str, Problem],
        caps: Caps,
        owner: str | None = None,
        origin: str | None = None,
    ) -> NewRetry:
        """Submit a new task like a failed or cancelled one; a second call returns the first one's.

        `needed` are the uploads without which the new task cannot run (processors/sources.py). They, and all other
        uploads in the payload, stay as long as a new task's. `caps` are the limits of retries and time that hold now.
        Uploads must belong to `owner`; with None they may belong to anybody.
        Raises NotFound, Conflict, Invalid (an upload is gone), StoreUnavailable.
        """
        new = self._tasks.retry(task_id, new_ids(1)[0], owner, needed, caps, origin)
        if new.fresh:
            self._totals.submitted += 1
            self._totals.tally.add(f"submitted|{new.task_type}")
            self._notices.hints([Due(new.task_id, new.task_type, new.light, new.priority, new.publish_at)])
        return new
