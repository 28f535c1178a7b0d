"""The size of the next claim and the number of hints to hold, from the recent times of each task type; pure."""

_WEIGHT = 0.2
"""Weight of the newest batch in the moving averages."""
_GROWTH = 8
"""The prefetch grows by this factor at most: a larger step could take more than a moment's work from other workers."""


class Pace:
    """Moving averages of one worker process."""

    def __init__(self, batch_seconds: float, batch_limit: int) -> None:
        self._batch_seconds, self._batch_limit = batch_seconds, batch_limit
        self._seconds: dict[str, float] = {}
        self._tasks_per_hint = 0.0
        self.prefetch = 1

    def batch(self, task_type: str) -> int:
        """Return the number of light tasks of this type in a batch; 1 for a type without a measurement."""
        seconds = self._seconds.get(task_type)
        if seconds is None:
            return 1
        return max(1, min(self._batch_limit, int(self._batch_seconds / max(seconds, 1e-9))))

    def ran_light(self, task_type: str, each_seconds: float, per_hint: float) -> None:
        """Learn from a batch: the seconds per task, and the tasks per hint."""
        known = self._seconds.get(task_type)
        self._seconds[task_type] = each_seconds if known is None else known + _WEIGHT * (each_seconds - known)
        # the first batch counts fully: later steps of the prefetch would cost round trips just when the work begins
        self._tasks_per_hint += (_WEIGHT if self._tasks_per_hint else 1.0) * (per_hint - self._tasks_per_hint)
        self._set_prefetch(max(1, round(2 * self.batch(task_type) / max(1.0, self._tasks_per_hint))))

    def ran_heavy(self) -> None:
        """Hold one hint after a heavy task."""
        self.prefetch = 1

    def _set_prefetch(self, wanted: int) -> None:
        """Change the prefetch only by a factor of two or more: each change costs three round trips to the broker."""
        if wanted >= 2 * self.prefetch or 2 * wanted <= self.prefetch:
            self.prefetch = min(wanted, _GROWTH * self.prefetch)
