"""The fields that name a worker's tasks in its log lines."""

import logging
import threading

import pytest

from dtqs import naming
from dtqs.config import RetrySection
from dtqs.errors import TransientError
from dtqs.processors.base import Context, Json, NoSettings, Payload
from dtqs.processors.catalog import Catalog
from dtqs.processors.function import processor, processor_class
from dtqs.scoreboard import Scoreboard
from dtqs.task import Claimed
from dtqs.worker.hold import Hold
from dtqs.worker.limits import AttemptLimits
from dtqs.worker.runner import Runner
from tests.support.fix_processors import Attempt


def claimed(number: int, origin: str | None = None) -> Claimed:
    return Claimed(f"t-{number}", "fails", "{}", 2, 5, None, True, 0, origin)


def test_a_batch_names_its_first_tasks_and_their_requests() -> None:
    tasks = [claimed(number, f"r-{number // 10} 00-trace") for number in range(30)]
    named = naming.of_tasks(tasks)
    assert named["tasks"] == 30
    assert named["task_ids"] == " ".join(f"t-{number}" for number in range(naming.NAMED_LIMIT))
    assert named["request_ids"] == "r-0 r-1"


def test_a_line_names_the_running_task_except_on_threads_with_other_work() -> None:
    hold = Hold()
    assert hold.log_fields() == {}
    hold.begin("lease", [claimed(1, "r-1"), claimed(2)])
    assert hold.log_fields() == {"tasks": 2, "task_ids": "t-1 t-2", "request_ids": "r-1"}
    hold.start(hold.tasks[0])
    seen: dict[str, object] = {}
    for name in ("beat", "of a processor"):
        thread = threading.Thread(target=lambda: seen.__setitem__(name, hold.log_fields()), name=name)  # noqa: B023
        thread.start()
        thread.join(10)
    assert seen == {"beat": {}, "of a processor": {"task_id": "t-1", "attempt": 2, "request_id": "r-1"}}


class Nothing(Payload):
    """No fields."""


def test_a_failed_attempt_is_logged_without_the_text_of_its_error(
    attempt: Attempt, caplog: pytest.LogCaptureFixture
) -> None:
    @processor("fails", payload=Nothing)
    def fails(payload: Nothing, context: Context) -> Json:
        raise TransientError("mail to jane@example.org failed")

    kind = processor_class(fails)
    assert kind
    limits = AttemptLimits(Scoreboard(1).slot(0), 5.0)
    runner = Runner(Catalog([kind(NoSettings())]), attempt.space, attempt.reports, limits, RetrySection())
    with caplog.at_level(logging.INFO):
        runner.attempt(claimed(7, "r-7 00-trace"), light=True)
    (record,) = caplog.records
    wanted = {
        "task_id": "t-7", "attempt": 2, "request_id": "r-7", "task_type": "fails", "settlement": "retry",
        "error": "TransientError",
    }  # fmt: skip
    assert wanted.items() <= vars(record).items()
    assert "jane" not in str(vars(record))
