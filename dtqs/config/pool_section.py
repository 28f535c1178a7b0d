"""The section [pool:NAME]: one set of worker processes, its work, and its share of the machine."""

import re
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from dtqs.config.section import Bytes, Section

_LEAST_MEMORY = 32 << 20
"""An idle worker is larger: a smaller limit was meant in another unit."""
_CPUS = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
_CPU_LIMIT = 1024
"""CPUs that the kernel's affinity mask of a process has in Python."""


class PoolSection(Section):
    workers: int = Field(0, ge=0, le=1024, description="worker processes; 0: one per core, or one per CPU of the pool")
    min: int = Field(0, ge=0, le=1024, description="least worker processes of a pool that scales itself; see max")
    max: int = Field(
        0,
        ge=0,
        le=1024,
        validate_default=True,
        description="most worker processes of a pool that scales itself by the due tasks, instead of workers; 0: off",
    )
    target_wait_seconds: float = Field(
        5.0, ge=0.1, le=86400, description="seconds that a due task should wait at most: the pool grows to max for it"
    )
    quiet_seconds: float = Field(
        60.0, ge=1, le=86400, description="seconds without need of all its workers before such a pool begins to shrink"
    )
    task_types: tuple[str, ...] = Field((), description="task types that this pool runs; empty: all")
    queues: tuple[str, ...] = Field(
        (), description="queues that this pool consumes; empty: those of its task_types by [routes], else all"
    )
    nice: int = Field(0, ge=0, le=19, description="niceness of its processes; 19 leaves the CPUs to all others first")
    cpu_affinity: tuple[int, ...] = Field(
        (), description="CPUs that its processes may use, as in 0-3, 6; empty: all of the supervisor"
    )
    moment_seconds: float = Field(
        0.2, ge=0.01, le=10, description="seconds after which a busy worker returns its unclaimed deliveries"
    )
    batch_seconds: float = Field(
        0.03, ge=0, le=1, description="seconds of work that one batch of light tasks aims at; 0: one hint at a time"
    )
    batch_limit: int = Field(500, ge=1, le=1000, description="most light tasks of one claim")
    memory_limit: Bytes = Field(
        0,
        ge=0,
        le=1 << 50,
        description="resident memory at which a worker is replaced, as soon as its task has ended; 0: no limit",
    )
    memory_kill: Bytes = Field(
        0,
        ge=0,
        le=1 << 50,
        description="resident memory at which a worker is killed: its task spends the attempt; 0: no limit",
    )
    max_tasks: int = Field(
        0,
        ge=0,
        le=10**12,
        description="tasks after which a worker is replaced; each worker adds up to a quarter of it by chance; "
        "0: no limit",
    )

    @field_validator("max")
    @classmethod
    def _is_a_range(cls, most: int, info: ValidationInfo) -> int:
        least, workers = info.data.get("min", 0), info.data.get("workers", 0)
        if least > most:
            raise ValueError(f"below min, which is {least}")
        if most and not least:
            raise ValueError("needs min, 1 or more")
        if most and workers:
            raise ValueError(f"workers = {workers} is set as well: a pool has either workers, or min and max")
        return most

    @field_validator("cpu_affinity", mode="before")
    @classmethod
    def _are_cpus(cls, parts: Any) -> Any:
        """Read numbers and ranges."""
        cpus: set[int] = set()
        for part in parts:
            match = _CPUS.fullmatch(str(part).replace(" ", ""))
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if first > last or last >= _CPU_LIMIT:
                raise ValueError(f"{part!r} is neither a CPU's number below {_CPU_LIMIT} nor a range such as 0-3")
            cpus.update(range(first, last + 1))
        return tuple(sorted(cpus))

    @field_validator("memory_limit", "memory_kill")
    @classmethod
    def _leaves_room_for_python(cls, size: int) -> int:
        if 0 < size < _LEAST_MEMORY:
            raise ValueError(f"a worker itself needs more than {size:,} bytes; 0 or at least {_LEAST_MEMORY >> 20}M")
        return size

    @field_validator("memory_kill")
    @classmethod
    def _is_above_the_limit(cls, size: int, info: ValidationInfo) -> int:
        limit = info.data.get("memory_limit", 0)
        if 0 < size <= limit:
            raise ValueError(f"not above memory_limit, which is {limit:,} bytes: no worker would live to be replaced")
        return size

    def size(self, cores: int) -> int:
        """Return the number of workers at the start, on a machine with this many cores."""
        return self.min if self.max else self.workers or len(self.cpu_affinity) or cores
