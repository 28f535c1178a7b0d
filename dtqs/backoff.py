"""The delay before the next attempt; pure."""

import random


def backoff_seconds(attempt: int, base_seconds: float, max_seconds: float, jitter: float | None = None) -> float:
    """Return the delay after an attempt (1 is the first): full jitter over base × 2^(attempt-1), at most the maximum.

    Full jitter spreads many retries best (AWS Architecture Blog, "Exponential Backoff And Jitter").
    `jitter` is a number from 0 to 1; the default is a random one.
    """
    ceiling = min(max_seconds, base_seconds * 2.0 ** min(attempt - 1, 64))
    return ceiling * (random.random() if jitter is None else jitter)


QUICK_RETRIES = 5


def pause_seconds(attempt: int, base_seconds: float, max_seconds: float, jitter: float | None = None) -> float:
    """Return the least pause after an attempt that another service spoilt: 0.0 while quick retries are left.

    Most faults are short, so the first retries have the backoff of `[retry]` alone. Then the pause is base × 2^n, at
    most the maximum. `jitter` adds up to a quarter, so that tasks that failed together do not come again together.
    Full jitter would make some pauses short, and a few short ones spend the retries long before the service is back.
    """
    if attempt <= QUICK_RETRIES:
        return 0.0
    pause = min(max_seconds, base_seconds * 2.0 ** min(attempt - QUICK_RETRIES - 1, 64))
    return pause * (1 + (random.random() if jitter is None else jitter) / 4)
