"""Limits of a submit: [limits] for everybody, and the ceilings of an API key. room.py limits a key's pending tasks."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any

from dtqs.api.submit.envelope import ARRAY_LIMIT, field_name
from dtqs.config import LimitsSection, number
from dtqs.errors import AboveCeiling, NotFound, Problem
from dtqs.store.api_keys import Ceilings
from dtqs.store.tasks import Caps
from dtqs.task import NewTask, TaskRecord


class SubmitLimits:
    """Checks submits. `timeout_seconds` returns a task type's own time limit."""

    def __init__(self, section: LimitsSection, timeout_seconds: Callable[[str], float]) -> None:
        self._section, self._timeout_seconds = section, timeout_seconds

    def problems(self, value: Any) -> list[Problem]:
        """Return the fields above [limits]. The body is not validated yet, so that all faults are reported together."""
        if isinstance(value, list):
            return [found for index, body in enumerate(islice(value, ARRAY_LIMIT)) for found in self._of(body, index)]
        return self._of(value, None)

    def within(self, tasks: Sequence[NewTask], ceilings: Ceilings, is_array: bool) -> list[NewTask]:
        """Return the tasks within a key's ceilings. A task without a time limit gets the key's. Raises AboveCeiling."""
        asked = [(field_name(index if is_array else None, ""), task) for index, task in enumerate(tasks)]
        problems = [
            Problem(f"{place}.{name}".lstrip("."), message)
            for place, task in asked
            for name, message in _above(ceilings, task.task_type, task.priority, task.timeout_seconds)
        ]
        if ceilings.max_pending is not None and len(tasks) > ceilings.max_pending:
            problems.append(
                Problem("body", f"an array of {len(tasks)} tasks; this API key may have {ceilings.max_pending} pending")
            )
        if problems:
            raise AboveCeiling(problems)
        return [self._limited(task, ceilings) for task in tasks]

    def of_retry(self, task: TaskRecord, ceilings: Ceilings) -> Caps:
        """Return the limits on retries and time for a retry of an accepted task. Raises AboveCeiling."""
        if found := _above(ceilings, task.task_type, task.priority, None):
            raise AboveCeiling([Problem(name, message) for name, message in found])
        most, own = self._section.max_timeout_seconds, ceilings.max_timeout_seconds
        return Caps(
            self._section.max_retries, most if own is None else min(most, own), self._default(task.task_type, own)
        )

    def _of(self, body: Any, index: int | None) -> list[Problem]:
        if not isinstance(body, dict):
            return []
        found = []
        for name, most in (
            ("max_retries", self._section.max_retries),
            ("timeout_seconds", self._section.max_timeout_seconds),
        ):
            asked = body.get(name)
            if isinstance(asked, int | float) and asked > most:
                key = name if name == "max_retries" else "max_timeout_seconds"
                found.append(
                    Problem(field_name(index, name), f"at most {number(most)} is allowed here ([limits] {key})")
                )
        return found

    def _limited(self, task: NewTask, ceilings: Ceilings) -> NewTask:
        timeout = task.timeout_seconds
        if timeout is None:
            timeout = self._default(task.task_type, ceilings.max_timeout_seconds)
        return replace(task, timeout_seconds=timeout, counted=ceilings.max_pending is not None)

    def _default(self, task_type: str, most: float | None) -> float | None:
        """Return the time limit of a task without one.

        It is the key's, if the task type's own is longer or the type is unknown here.
        """
        with suppress(NotFound):
            if most is not None and self._timeout_seconds(task_type) <= most:
                return None
        return most


def _above(ceilings: Ceilings, task_type: str, priority: int, timeout_seconds: float | None) -> list[tuple[str, str]]:
    """Return the fields above a ceiling, each with the allowed values."""
    found = []
    if ceilings.task_types is not None and task_type not in ceilings.task_types:
        found.append(("task_type", f"this API key may submit: {', '.join(ceilings.task_types)}"))
    if ceilings.max_priority is not None and priority > ceilings.max_priority:
        found.append(
            ("priority", f"this API key may ask for at most {ceilings.max_priority}; without the field it is 5")
        )
    most = ceilings.max_timeout_seconds
    if most is not None and timeout_seconds is not None and timeout_seconds > most:
        found.append(("timeout_seconds", f"this API key may ask for at most {number(most)}"))
    return found
