"""Errors pass between processes: a pool of processes sends them as a pickle."""

import pickle

import pytest

from dtqs import errors
from dtqs.client import ApiRefusal, ApiUnavailable, Task, TaskNotCompleted, WaitOver
from dtqs.client.errors import ForeignAnswer
from dtqs.errors import DtqsError, Problem

TASK = Task.of(
    {
        "task_id": "01929f3a-0000-7000-8000-000000000001",
        "task_type": "echo",
        "status": "failed",
        "priority": 5,
        "attempt": 1,
        "max_retries": 3,
        "payload": {},
        "error": {"message": "no room"},
        "created_at": "2026-12-24T18:00:00+00:00",
    }
)
PROBLEMS = [Problem("payload.to", "must be a list")]
ERRORS = [
    ApiRefusal("m", 422, {"errors": [{"field": "payload"}]}),
    ApiUnavailable("m", 75),
    ForeignAnswer("m", 75),
    WaitOver("why"),
    TaskNotCompleted(TASK),
    errors.ConfigError(["a", "b"]),
    errors.TransientError("m", retry_after_seconds=3),
    errors.UploadsFull(5),
    errors.JailUnavailable(["landlock"]),
    errors.TaskTimedOut(5),
    errors.CpuTimeSpent("video", 5),
    errors.WorkerDied("signal 9"),
    errors.AttemptTooLarge("more memory", "video", "attempt_memory_bytes", 5),
    errors.InputRefused("file:///x", "is away"),
    errors.TooManyDeaths(3, "signal 9"),
    errors.NotFound("task", "x"),
    errors.Conflict("m"),
    errors.Invalid(PROBLEMS),
    errors.AboveCeiling(PROBLEMS),
    errors.TooManyRequests("m", 5),
    errors.Postponed(3, "rate"),
    errors.TaskCancelled(),
    errors.LeaseLost("x"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_in_another_process(error: DtqsError) -> None:
    error.add_note("a note")
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error)
    assert (str(found), found.args, vars(found)) == (str(error), error.args, vars(error))
