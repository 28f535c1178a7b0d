"""How long to wait before the next attempt; pure."""

import random


def backoff_seconds(attempt: int, base_seconds: float, max_seconds: float, jitter: float | None = None) -> float:
    """Return the delay after the given attempt (1 is the first): full jitter over base × 2^(attempt-1), capped.

    Full jitter spreads a crowd of retries best (AWS Architecture Blog, "Exponential Backoff And Jitter").
    `jitter` is a number from 0 to 1, drawn at random where it is not given.
    """
    ceiling = min(max_seconds, base_seconds * 2.0 ** min(attempt - 1, 64))
    return ceiling * (random.random() if jitter is None else jitter)
