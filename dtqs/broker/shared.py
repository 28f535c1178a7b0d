"""pika's loop, served by whichever thread has time for it: its own, or one that waits for what it brings and so need not be woken by another.

To hand something from thread to thread takes a fifth of a millisecond, and a tiny task would wait for that twice. Whoever serves the loop holds a lock,
but for the wait itself; who holds the lock may do meanwhile what a callback may.
"""

import os
import threading
from collections.abc import Callable
from typing import Any

from pika.adapters.select_connection import EPollPoller, IOLoop, PollEvents

from dtqs.deadline import Deadline

_PARK_SECONDS = 1.0


class _Unlocked:
    """An epoll object whose wait is done without the lock."""

    def __init__(self, poll: Any, lock: threading.Lock) -> None:
        self._poll, self._lock = poll, lock
        self.register, self.modify, self.unregister, self.close = poll.register, poll.modify, poll.unregister, poll.close

    def poll(self, seconds: float) -> Any:
        self._lock.release()
        try:
            return self._poll.poll(seconds)
        finally:
            self._lock.acquire()


class _Poller(EPollPoller):  # type: ignore[misc]  # pika tells no types
    lock: threading.Lock
    _poll: Any

    def _init_poller(self) -> None:
        super()._init_poller()
        self._poll = _Unlocked(self._poll, self.lock)


class SharedLoop(IOLoop):  # type: ignore[misc]
    """`start` is for its own thread, which parks while the other one has taken the loop: from `lead` until `release`."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = self._poller.lock = threading.Lock()
        self._turn = threading.Condition(self.lock)
        self._taken = self._leading = self._parked = self._ended = self._rang = self._closed = False
        # written by signal handlers too: pika's own way to wake it takes a lock
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.add_handler(self._bell, self._hear_bell, PollEvents.READ)

    def start(self) -> None:
        """Serve it until `stop`."""
        with self.lock:
            self.activate_poller()
            try:
                while not self._ended:
                    if self._taken:
                        self._park()
                    else:
                        self._serve()
            finally:
                self.deactivate_poller()

    def stop(self) -> None:
        """To be called on the loop."""
        self._ended = True

    def close(self) -> None:
        """Safe to call twice."""
        if not self._closed:
            self._closed = True
            self.remove_handler(self._bell)
            os.close(self._bell)
            super().close()

    def lead(self, until: Callable[[], bool], seconds: float) -> None:
        """Serve it in the calling thread until something has come about, somebody rings, or the time is over; it stays taken afterwards."""
        with self.lock:
            if not self._taken and not self._take():
                return
            deadline, self._leading = Deadline(seconds), True
            end = self.call_later(seconds, _nothing)
            try:
                while not (until() or self._rang or deadline.passed):
                    self._serve()
            finally:
                self.remove_timeout(end)
                self._leading = self._rang = False

    def release(self) -> None:
        """Leave it to its own thread; no matter to one that leads."""
        with self.lock:
            if self._taken and not self._leading:
                self._taken = False
                self._turn.notify_all()

    def ring(self) -> None:
        """Have `lead` return, now or when it is next called; safe in a signal handler."""
        if not self._closed:
            os.eventfd_write(self._bell, 1)

    def _serve(self) -> None:
        self.poll()
        self.process_timeouts()

    def _take(self) -> bool:
        """Wait until its own thread has parked: two that poll would each take what the other waits for."""
        self._taken = True
        self._poller.wake_threadsafe()
        if not self._turn.wait_for(lambda: self._parked, _PARK_SECONDS):
            self._taken = False
            return False
        return True

    def _park(self) -> None:
        self._parked = True
        self._turn.notify_all()
        self._turn.wait_for(lambda: not self._taken)
        self._parked = False

    def _hear_bell(self, *_: object) -> None:
        os.eventfd_read(self._bell)
        self._rang = True

    @staticmethod
    def _get_poller(get_wait_seconds: Callable[[], float | None], process_timeouts: Callable[[], None]) -> _Poller:
        return _Poller(get_wait_seconds=get_wait_seconds, process_timeouts=process_timeouts)


def _nothing() -> None:
    """Let a wait end."""
