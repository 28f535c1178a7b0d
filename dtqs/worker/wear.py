"""When a worker must be replaced.

It has run enough tasks, its memory has passed the limit of its pool, or its tasks leave files open or threads behind.
"""

import errno
import os
import random
import resource
import threading

from dtqs.amounts import size
from dtqs.config import PoolSection
from dtqs.memory import resident_bytes

_JITTER = 4
"""Up to this part of `max_tasks` is added by chance, so that the workers of a pool do not leave together."""
_FEW_FILES = 100
"""Connections and programs that a worker may open after its start. So a low limit replaces no healthy worker."""

_MOST_THREADS = 500
"""Threads of a worker. It needs five; a processor may keep a pool of them."""


class Wear:
    """The heartbeat reads the memory anyway; the main thread compares numbers after each claim."""

    def __init__(self, pool: str, section: PoolSection) -> None:
        self._pool, self._section = pool, section
        self._most_tasks = section.max_tasks + random.randint(0, section.max_tasks // _JITTER) or float("inf")
        self._memory_limit = section.memory_limit or float("inf")
        self.tasks = self._memory = self._first_files = 0
        self._files: str | None = None

    def read(self) -> int:
        """Read and keep the state of this process, and return its resident memory. Callable from any thread."""
        self._memory = resident_bytes()
        self._read_files()
        return self._memory

    def ran(self, tasks: int, light: bool) -> None:
        """Count tasks that have ended. A heavy one may have grown and shrunk since the last heartbeat."""
        self.tasks += tasks
        if not light and self._section.memory_limit:
            self._memory = resident_bytes()
        self._read_files()

    def _read_files(self) -> None:
        """Note whether too many files are open: without a free descriptor attempts fail, and no connection opens."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        try:
            lowest = _lowest_free()
        except OSError as error:
            self._files = f"it has all {most} files open that it may open" if error.errno == errno.EMFILE else None
            return
        is_worn = self._first_files and lowest > max(most // 2, self._first_files + _FEW_FILES)
        self._files = f"it has at least {lowest} files open, and may open {most}" if is_worn else None

    def refusal(self) -> str | None:
        """Return why this configuration cannot work: a new worker is above the limit, and would be replaced at once."""
        self._first_files = _lowest_free()
        if self.read() <= self._memory_limit:
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
        if (threads := threading.active_count()) > _MOST_THREADS:
            return f"it has {threads} threads, which its tasks have left behind"
        return self._files


def _lowest_free() -> int:
    """Return the lowest free descriptor: all below it are in use. It costs 1 µs, and a list of many would take long."""
    descriptor = os.eventfd(0)
    os.close(descriptor)
    return descriptor
