"""Restores the process state that attempts may change: signals, timers, wakeup descriptor, umask and folder."""

import contextlib
import logging
import os
import signal
from _signal import getsignal  # type: ignore[import-not-found]  # as in limits.py
from collections.abc import Callable, Iterable
from typing import Any

from dtqs.signal_name import signal_name
from dtqs.worker.left_threads import LeftThreads

logger = logging.getLogger(__name__)
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_UNSET = frozenset({signal.SIGKILL, signal.SIGSTOP})
_COMMON = (
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGALRM,
    signal.SIGCHLD,
    signal.SIGPIPE,
)
"""Signals that this process needs, or that tasks often set. The default of SIGPIPE ends it when a server closes."""


class ProcessState:
    """Saves the state when it is made, in the main thread. `restore` undoes changes.

    `offer_stacks` sets the handler of faulthandler again, which Python does not see.
    """

    def __init__(self, offer_stacks: Callable[[], None] = lambda: None) -> None:
        self._offer_stacks, self._threads = offer_stacks, LeftThreads()
        self._handlers: dict[int, Any] = {number: getsignal(number) for number in signal.valid_signals() - _UNSET}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(self._wakeup)
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._folder, self._folder_id = -1, (0, 0)
        with contextlib.suppress(OSError):  # the folder may be gone, or not accessible
            self._folder = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._folder_id = _folder_id()

    def restore(self, light: bool) -> None:
        """Undo the changes of an attempt. After light tasks it checks only the common ones: 2 µs a batch."""
        changed = self._changed(_COMMON if light else self._handlers)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        timers = _TIMERS[:1] if light else _TIMERS
        if changed or mask != self._mask or any(signal.getitimer(timer)[0] for timer in timers):
            self._restore_signals()
        signal.set_wakeup_fd(self._wakeup)
        os.umask(self._umask)
        self._threads.look(light)
        if not light:
            self._offer_stacks()
            self._restore_folder()

    def _changed(self, numbers: Iterable[int]) -> list[int]:
        return [number for number in numbers if getsignal(number) is not self._handlers[number]]

    def _restore_signals(self) -> None:
        changed = self._changed(self._handlers)
        logger.warning("a task left signals changed", extra={"signals": [signal_name(number) for number in changed]})
        for timer in _TIMERS:
            signal.setitimer(timer, 0.0)
        # ignoring a signal drops a pending one; with the default handler it might end the process after the unblock
        for number in {*changed, signal.SIGALRM}:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number in {*changed, signal.SIGALRM}:
            if self._handlers[number] is not None:
                signal.signal(number, self._handlers[number])
        self._offer_stacks()

    def _restore_folder(self) -> None:
        with contextlib.suppress(OSError):
            if self._folder >= 0 and _folder_id() != self._folder_id:
                logger.warning("a task left the working folder changed")
                os.fchdir(self._folder)


def _folder_id() -> tuple[int, int]:
    found = os.stat(".")
    return found.st_dev, found.st_ino
