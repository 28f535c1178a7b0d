"""How many tasks to claim at once and how many hints to hold, from what each type has lately taken; pure."""

_WEIGHT = 0.2
"""Of the newest batch in the moving averages."""
_GROWTH = 8
"""The prefetch grows by this factor at most: one large step could take more than a moment's work away from others."""


class Pace:
    """Moving averages of one worker process."""

    def __init__(self, batch_seconds: float, batch_limit: int) -> None:
        self._batch_seconds, self._batch_limit = batch_seconds, batch_limit
        self._seconds: dict[str, float] = {}
        self._tasks_per_hint = 0.0
        self.prefetch = 1

    def batch(self, task_type: str) -> int:
        """Return how many light tasks of this type make a batch; 1 for a type that is not known yet."""
        seconds = self._seconds.get(task_type)
        if seconds is None:
            return 1
        return max(1, min(self._batch_limit, int(self._batch_seconds / max(seconds, 1e-9))))

    def ran_light(self, task_type: str, each_seconds: float, per_hint: float) -> None:
        """Learn from a batch: what a task of it took, and how many its hints named."""
        known = self._seconds.get(task_type)
        self._seconds[task_type] = each_seconds if known is None else known + _WEIGHT * (each_seconds - known)
        # the first batch is believed at once: each step of the prefetch costs round trips just when the work begins
        self._tasks_per_hint += (_WEIGHT if self._tasks_per_hint else 1.0) * (per_hint - self._tasks_per_hint)
        self._set_prefetch(max(1, round(2 * self.batch(task_type) / max(1.0, self._tasks_per_hint))))

    def ran_heavy(self) -> None:
        """After a heavy task: hold one hint, whatever comes next."""
        self.prefetch = 1

    def _set_prefetch(self, wanted: int) -> None:
        """Move only for a factor of two: each change costs three round trips to the broker."""
        if wanted >= 2 * self.prefetch or 2 * wanted <= self.prefetch:
            self.prefetch = min(wanted, _GROWTH * self.prefetch)
