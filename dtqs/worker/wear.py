"""When a worker must be replaced: it has run enough tasks, or its memory has passed the limit of its pool."""

import random

from dtqs.amounts import size
from dtqs.config import PoolSection
from dtqs.memory import resident_bytes

_JITTER = 4
"""Up to this part of `max_tasks` is added by chance, so that the workers of a pool do not leave together."""


class Wear:
    """The heartbeat reads the memory anyway; the main thread compares numbers after each claim."""

    def __init__(self, pool: str, section: PoolSection) -> None:
        self._pool, self._section = pool, section
        self._most_tasks = section.max_tasks + random.randint(0, section.max_tasks // _JITTER) or float("inf")
        self._memory_limit = section.memory_limit or float("inf")
        self.tasks = self._memory = 0

    def read_memory(self) -> int:
        """Read, keep and return this process's resident memory. Callable from any thread."""
        self._memory = resident_bytes()
        return self._memory

    def ran(self, tasks: int, light: bool) -> None:
        """Count tasks that have ended. A heavy one may have grown and shrunk since the last heartbeat."""
        self.tasks += tasks
        if not light and self._section.memory_limit:
            self.read_memory()

    def refusal(self) -> str | None:
        """Return why this configuration cannot work: a new worker is above the limit, and would be replaced at once."""
        if self.read_memory() <= self._memory_limit:
            return None
        key = f"[pool:{self._pool}] memory_limit = {size(self._section.memory_limit)}"
        return f"{key}: a worker has {size(self._memory)} before its first task; allowed: 0 or more than that"

    @property
    def reason(self) -> str | None:
        """Why this worker must be replaced, or None."""
        if self.tasks >= self._most_tasks:
            return f"it has run {self.tasks} tasks; max_tasks = {self._section.max_tasks}"
        if self._memory > self._memory_limit:
            return f"its memory is {size(self._memory)}; memory_limit = {size(self._section.memory_limit)}"
        return None
