"""The share of the machine that the processes of a pool take: CPUs and niceness. ffmpeg and decoders inherit both."""

import logging
import os
from collections.abc import Callable, Mapping

from dtqs.config import PoolSection
from dtqs.errors import ConfigError

logger = logging.getLogger(__name__)
_ADVICE = (
    "run `systemctl edit dtqs-worker`, add the two lines `[Service]` and "
    "`SystemCallFilter=setpriority sched_setaffinity`, then restart it"
)


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


def forbidden_shares(pools: Mapping[str, PoolSection]) -> list[str]:
    """Return a sentence for each key of the pools that the service manager forbids. Trying it changes nothing."""
    tries = {
        "cpu_affinity": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
        "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0)),
    }
    found = []
    for key, attempt in tries.items():
        names = [name for name, pool in pools.items() if getattr(pool, key)]
        if names and (reason := _refusal(attempt)):
            found.append(f"[pool:{names[0]}] {key} has no effect ({reason}): {_ADVICE}")
    return found


def take_share(pool: PoolSection) -> None:
    """Set CPUs and niceness of this process. A service manager may forbid it: then the worker works without."""
    if pool.cpu_affinity:
        _take("cpu_affinity", lambda: os.sched_setaffinity(0, pool.cpu_affinity))
    if pool.nice > os.getpriority(os.PRIO_PROCESS, 0):
        _take("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, pool.nice))


def _take(key: str, attempt: Callable[[], None]) -> None:
    if reason := _refusal(attempt):
        logger.warning("this share of the machine is not set", extra={"key": key, "reason": reason, "advice": _ADVICE})


def _refusal(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except OSError as error:
        return error.strerror or "refused"
    return ""
