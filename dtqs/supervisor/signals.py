"""The queue of the supervisor's signals: handlers only enqueue, and a pipe ends the wait of the loop."""

import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from selectors import EVENT_READ, PollSelector
from types import FrameType, TracebackType
from typing import Any

HARMLESS = (signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1, signal.SIGUSR2)
"""By default, a stray one of them, for example from a log rotation, would end or stop a process."""
_QUEUED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, *HARMLESS)
_MOST_OF_EACH = 32
"""Repeated signals of an impatient operator, or of a loop in a script, add nothing."""
_Handler = Callable[[int, FrameType | None], Any] | int | None


class Signals:
    """A context in which this process enqueues signals. `wait` returns at the next signal or end of a child."""

    def __init__(self) -> None:
        self._queue: deque[int] = deque()
        self._before: dict[int, _Handler] = {}
        self._reader = self._writer = self._wakeup_before = -1

    def __enter__(self) -> "Signals":
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # an epoll would have state in the kernel that parent and child share after a fork; a poll has none
        self._selector = PollSelector()
        self._selector.register(self._reader, EVENT_READ)
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in _QUEUED:
            # nohup ignores SIGHUP on purpose; shells ignore SIGINT for every process in the background
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._enqueue)
        # an empty handler, because Python writes to the pipe only for signals with a handler
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._before)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self.close()

    def close(self) -> None:
        """Close the pipe. A new child closes its copy."""
        self._selector.close()
        os.close(self._reader)
        os.close(self._writer)

    def watch(self, descriptor: int, events: int) -> None:
        """Let these events of a descriptor end the wait, too. No events: no longer."""
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)
        if events:
            self._selector.register(descriptor, events)

    def wait(self, seconds: float) -> None:
        """Wait until a signal arrives, or a watched descriptor is ready, for at most `seconds`."""
        if not self._queue and self._selector.select(max(0.0, seconds)):
            # the bytes add nothing to the queue
            with contextlib.suppress(BlockingIOError):
                while os.read(self._reader, 4096):
                    pass

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Let the signals wait. A program that this process executes inherits that, until its own `Signals` begins."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._before)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._before)

    @property
    def are_waiting(self) -> bool:
        """Tell whether a signal has come since the last `take`."""
        return bool(self._queue)

    def take(self) -> list[int]:
        """Return the signals since the last call, oldest first."""
        taken = []
        while self._queue:
            taken.append(self._queue.popleft())
        return taken

    def _enqueue(self, number: int, frame: FrameType | None) -> None:
        # a bound of each: no flood of one signal may swallow another, such as the one that ends the node
        if self._queue.count(number) < _MOST_OF_EACH:
            self._queue.append(number)
