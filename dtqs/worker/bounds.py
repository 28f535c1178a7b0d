"""Limits of the worker process while an attempt runs, by rlimit: address space, processor time, size of a file.

The first two count from the state of the process at the attempt's begin. Only soft limits change: a lowered hard limit
would stay. They hold for all threads, and processes that the attempt starts inherit them.
"""

import errno
import math
import resource
from collections.abc import Iterator

from dtqs.errors import AttemptTooLarge, CpuTimeSpent
from dtqs.memory import address_bytes
from dtqs.processors.base import ProcessorSettings

_MOST_CAUSES = 10


class AttemptBounds:
    """The limits of one task type. `begin` and `end` enclose an attempt: 25 µs for all three limits."""

    def __init__(self, task_type: str, settings: ProcessorSettings) -> None:
        self._task_type = task_type
        self._memory, self._file = settings.attempt_memory_bytes, settings.attempt_file_bytes
        self._cpu = settings.attempt_cpu_seconds
        self.cpu_until = math.inf
        """The processor time of this process at which the kernel sends SIGXCPU for the present attempt."""
        self._before: list[tuple[int, tuple[int, int]]] = []

    @classmethod
    def of(cls, task_type: str, settings: object) -> "AttemptBounds | None":
        """Return the limits of a task type, or None if its section sets none."""
        if not isinstance(settings, ProcessorSettings):
            return None
        bounds = cls(task_type, settings)
        return bounds if bounds._memory or bounds._cpu or bounds._file else None

    def begin(self) -> None:
        # without a free descriptor the present use is not known, and a limit below it would fail the task
        if self._memory and (used := address_bytes()):
            self._lower(resource.RLIMIT_AS, used + self._memory)
        if self._cpu:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            # the kernel counts whole seconds
            limit = int(usage.ru_utime + usage.ru_stime) + 1 + self._cpu
            self.cpu_until = float(limit)
            self._lower(resource.RLIMIT_CPU, limit)
        if self._file:
            self._lower(resource.RLIMIT_FSIZE, self._file)

    def end(self) -> None:
        """Restore the limits of before. Safe to call twice."""
        for number, limits in self._before:
            resource.setrlimit(number, limits)
        self._before = []

    def spent_cpu(self) -> CpuTimeSpent:
        return CpuTimeSpent(self._task_type, self._cpu or 0)

    def explained(self, error: BaseException) -> BaseException:
        """Return the error that names the limit, if the attempt's exception comes from one; else the exception."""
        if self._memory and isinstance(error, MemoryError):
            return AttemptTooLarge("more memory", self._task_type, "attempt_memory_bytes", self._memory)
        if self._file and any(isinstance(each, OSError) and each.errno == errno.EFBIG for each in _causes(error)):
            return AttemptTooLarge("a larger file", self._task_type, "attempt_file_bytes", self._file)
        return error

    def _lower(self, number: int, limit: int) -> None:
        soft, hard = resource.getrlimit(number)
        if soft == resource.RLIM_INFINITY or limit < soft:
            self._before.append((number, (soft, hard)))
            resource.setrlimit(number, (limit, hard))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and what it was raised from: the context wraps errors of files in its own."""
    each: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if each is None:
            return
        yield each
        each = each.__cause__
