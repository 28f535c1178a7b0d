"""Signals of the supervisor: handlers only enqueue, and the wakeup pipe ends the loop's wait. What a signal means, the supervisor decides."""

import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable
from selectors import EVENT_READ, PollSelector
from types import FrameType, TracebackType
from typing import Any

_QUEUED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
_IGNORED = (signal.SIGUSR1, signal.SIGUSR2)
"""Their default would end the node at a stray signal of a log rotation."""
_MOST_QUEUED = 32
_Handler = Callable[[int, FrameType | None], Any] | int | None


class Signals:
    """A context: inside it this process enqueues signals, and `wait` returns as soon as one, or a child's end, arrives."""

    def __init__(self) -> None:
        # bounded: what an impatient operator repeats means nothing new
        self._queue: deque[int] = deque(maxlen=_MOST_QUEUED)
        self._before: dict[int, _Handler] = {}
        self._reader = self._writer = self._wakeup_before = -1

    def __enter__(self) -> "Signals":
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # poll keeps nothing in the kernel that a fork would share, as an epoll does
        self._selector = PollSelector()
        self._selector.register(self._reader, EVENT_READ)
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in _QUEUED:
            # who starts us with nohup wants to survive a hang-up; an ignored SIGINT is only what shells do to background jobs
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._enqueue)
        self._before |= {number: signal.signal(number, signal.SIG_IGN) for number in _IGNORED}
        # a handler, if an empty one, since only then Python writes to the pipe
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
        """Close the pipe; all that a fresh child does with its copy."""
        self._selector.close()
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, seconds: float) -> None:
        """Wait until a signal arrives, for so many seconds at most."""
        if not self._queue and self._selector.select(max(0.0, seconds)):
            # the bytes say nothing that the queue does not
            with contextlib.suppress(BlockingIOError):
                while os.read(self._reader, 4096):
                    pass

    def take(self) -> list[int]:
        """Return the signals that came since the last call, oldest first."""
        taken = []
        while self._queue:
            taken.append(self._queue.popleft())
        return taken

    def _enqueue(self, number: int, frame: FrameType | None) -> None:
        self._queue.append(number)
