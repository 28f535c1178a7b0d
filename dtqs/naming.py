"""The fields with which log lines of workers and keepers name tasks."""

from collections.abc import Iterable, Sequence

from dtqs.origin import request_id_of
from dtqs.task import Claimed

NAMED_LIMIT = 20
"""Most tasks that one line names."""
Fields = dict[str, object]


def of_task(task: Claimed) -> Fields:
    named: Fields = {"task_id": task.task_id, "attempt": task.attempt}
    return named | ({"request_id": request_id_of(task.origin)} if task.origin else {})


def of_tasks(tasks: Sequence[Claimed]) -> Fields:
    """Name one task, or the first tasks of a batch."""
    if len(tasks) == 1:
        return of_task(tasks[0])
    requests = dict.fromkeys(filter(None, (request_id_of(task.origin) for task in tasks[:NAMED_LIMIT])))
    return of_ids([task.task_id for task in tasks], requests)


def of_ids(task_ids: Sequence[str], requests: Iterable[str] = ()) -> Fields:
    """Name tasks of which only the ids are known, and the requests that submitted them."""
    named: Fields = {"tasks": len(task_ids), "task_ids": " ".join(task_ids[:NAMED_LIMIT])} if task_ids else {}
    return named | ({"request_ids": " ".join(requests)} if requests else {})
