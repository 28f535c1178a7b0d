"""The log of a task, page by page, and its new rows until the task has ended."""

import time
from collections.abc import Iterator
from contextlib import suppress

from dtqs.client.calls import Calls
from dtqs.client.errors import ApiUnavailable, WaitOver
from dtqs.client.values import LogRow, Task
from dtqs.deadline import Deadline

LOGS_LIMIT = 1000
FOLLOW_SECONDS = 0.5
"""Poll interval of a followed log: the stream of events does not announce log rows."""


def log_rows(calls: Calls, task_id: str, after: int, following: bool, deadline: Deadline) -> Iterator[LogRow]:
    """Yield the rows after a row's id; with `following`, also new rows until the outcome. Raises WaitOver."""
    ended = not following
    while True:
        with suppress(*((ApiUnavailable,) if following else ())):  # try again until the deadline
            ended = ended or Task.of(calls.get(f"/tasks/{task_id}")).ended
            for row in _new_rows(calls, task_id, after):
                after = row.log_id
                yield row
            if ended:
                return
        if deadline.passed:
            raise WaitOver
        time.sleep(min(FOLLOW_SECONDS, deadline.remaining))


def _new_rows(calls: Calls, task_id: str, after: int) -> Iterator[LogRow]:
    position: int | None = after
    while position is not None:
        page = calls.get(f"/tasks/{task_id}/logs", {"after": position, "limit": LOGS_LIMIT})
        yield from map(LogRow.of, page["logs"])
        position = page["next"]
