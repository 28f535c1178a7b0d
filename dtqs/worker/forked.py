"""Gives the processes that an attempt forks the default signal handlers in place of the worker's.

They inherit the worker's handlers, but neither its threads nor its attempt. A handler that only fills a queue would
swallow SIGTERM there, and `multiprocessing.Pool` would wait for its processes without end.
"""

import os
import signal
import threading
from _signal import getsignal, pthread_sigmask  # type: ignore[import-not-found]  # as in limits.py
from collections.abc import Iterable
from typing import Any

_handlers: dict[int, Any] = {}
"""The worker's handlers by signal. Handlers that a task sets itself are left to its processes."""
_masks = threading.local()
_registered = threading.Event()


def give_defaults(numbers: Iterable[int]) -> None:
    """From now on, replace the present handlers of these signals in each process that this one forks."""
    _handlers.update({number: getsignal(number) for number in numbers})
    if not _registered.is_set():
        _registered.set()
        os.register_at_fork(before=_block, after_in_child=_reset, after_in_parent=_unblock)


def _block() -> None:
    # a signal between the fork and its new handler would be lost
    _masks.before = pthread_sigmask(signal.SIG_BLOCK, ())
    pthread_sigmask(signal.SIG_BLOCK, _handlers)  # may raise Interrupted, so the mask is saved first


def _reset() -> None:
    for number, handler in _handlers.items():
        if getsignal(number) is handler:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    _unblock()


def _unblock() -> None:
    mask, _masks.before = getattr(_masks, "before", None), None
    if mask is not None:
        pthread_sigmask(signal.SIG_SETMASK, mask)
