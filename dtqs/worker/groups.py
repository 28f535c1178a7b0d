"""The one exception that settles an attempt whose code raised a group of exceptions, as asyncio.TaskGroup does; pure.

A group would hide an interrupt, and the answers that a processor gives by its exceptions.
"""

from collections.abc import Iterator

from dtqs.errors import LeaseLost, PermanentError, Postponed, StoreUnavailable, TransientError
from dtqs.worker.limits import Interrupted

_ANSWERS = ((StoreUnavailable, LeaseLost), (PermanentError,), (Postponed,), (TransientError,))


def settling(error: BaseException) -> BaseException:
    """Return the exception that counts: an interrupt anywhere in a group, or else its only exception.

    Several exceptions of one kind of answer count as the one with the longest wait. Otherwise the group itself counts:
    as any other exception, it is retried.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, Interrupted):
            return leaf
    if len(leaves) == 1:
        return leaves[0]
    for kinds in _ANSWERS:
        if all(isinstance(leaf, kinds) for leaf in leaves):
            return max(leaves, key=_wait_seconds)
    return error


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    left = list[BaseException]([group])
    while left:
        error = left.pop()
        if isinstance(error, BaseExceptionGroup):
            left += reversed(error.exceptions)
        else:
            yield error


def _wait_seconds(error: BaseException) -> float:
    seconds = getattr(error, "delay_seconds", getattr(error, "retry_after_seconds", 0.0))
    return seconds if isinstance(seconds, int | float) else 0.0
