"""Tasks and log rows as clients see them; pure."""

from typing import Any

from dtqs.store.reads import TaskLogRow
from dtqs.task import TaskRecord

FIELDS = (
    "task_id", "task_type", "status", "priority", "attempt", "max_retries", "payload", "result", "error", "tags", "progress", "retry_of",
    "created_at", "due_at", "started_at", "finished_at",
)  # fmt: skip
"""A task's fields, in their order."""


def record(task: TaskRecord) -> dict[str, Any]:
    return {name: getattr(task, name) for name in FIELDS}


def log_row(row: TaskLogRow) -> dict[str, Any]:
    return {
        "id": row.log_id, "event": row.event, "attempt": row.attempt, "level": row.level, "message": row.message, "data": row.data,
        "at": row.at, "worker_id": row.worker_id,
    }  # fmt: skip
