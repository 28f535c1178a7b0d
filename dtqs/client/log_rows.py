"""The log of a task, page by page, and its new rows until the task has ended."""

import time
from collections.abc import Iterator
from typing import Any

from dtqs.client.calls import Calls
from dtqs.client.errors import ApiUnavailable, ForeignAnswer, WaitOver
from dtqs.client.events import ASKED_MAX_SECONDS
from dtqs.client.values import LogRow, Task
from dtqs.deadline import Deadline

LOGS_LIMIT = 1000
FOLLOW_SECONDS = 0.5
"""Poll interval of a followed log: the stream of events does not announce log rows."""


def log_rows(calls: Calls, task_id: str, after: int, following: bool, deadline: Deadline) -> Iterator[LogRow]:
    """Yield the rows after a row's id; with `following`, also new rows until the outcome. Raises WaitOver."""
    ended = not following
    while True:
        pause = FOLLOW_SECONDS
        try:
            ended = ended or calls.get(f"/tasks/{task_id}", Task.of, wait=deadline).ended
            for row in _new_rows(calls, task_id, after, deadline):
                after = row.log_id
                yield row
            if ended:
                return
        except ApiUnavailable as error:
            if not following or isinstance(error, ForeignAnswer):
                raise
            pause = max(pause, min(ASKED_MAX_SECONDS, error.retry_after_seconds))  # again until the deadline
        if deadline.passed:
            raise WaitOver
        time.sleep(min(pause, deadline.remaining))


def _new_rows(calls: Calls, task_id: str, after: int, deadline: Deadline) -> Iterator[LogRow]:
    position: int | None = after
    while position is not None:
        wanted = {"after": position, "limit": LOGS_LIMIT}
        rows, position = calls.get(f"/tasks/{task_id}/logs", _page, wanted, deadline)
        yield from rows


def _page(json: Any) -> tuple[list[LogRow], int | None]:
    return [LogRow.of(row) for row in json["logs"]], json["next"]
