"""The share of the machine that the processes of a pool take: CPUs and niceness. ffmpeg and decoders inherit both."""

import logging
import os
from collections.abc import Mapping

from dtqs.config import PoolSection
from dtqs.errors import ConfigError

logger = logging.getLogger(__name__)


def refuse_missing_cpus(pools: Mapping[str, PoolSection]) -> set[int]:
    """Return the CPUs of this process. Raises ConfigError if a pool names others."""
    ours = os.sched_getaffinity(0)
    problems = [
        f"[pool:{name}] cpu_affinity: this machine has no CPU {', '.join(map(str, missing))} for DTQS; "
        f"allowed: {', '.join(map(str, sorted(ours)))}"
        for name, pool in pools.items()
        if (missing := sorted(set(pool.cpu_affinity) - ours))
    ]
    if problems:
        raise ConfigError(problems)
    return ours


def take_share(pool: PoolSection) -> None:
    """Set CPUs and niceness of this process. A service manager may forbid it: then the worker works without."""
    try:
        if pool.cpu_affinity:
            os.sched_setaffinity(0, pool.cpu_affinity)
        if pool.nice > os.getpriority(os.PRIO_PROCESS, 0):
            os.setpriority(os.PRIO_PROCESS, 0, pool.nice)
    except OSError as error:
        advice = "allow setpriority and sched_setaffinity in the unit's SystemCallFilter"
        logger.warning("nice or cpu_affinity not set", extra={"reason": error.strerror, "advice": advice})
