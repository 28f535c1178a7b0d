"""pika's loop, served by whichever thread has time for it: its own, or one that waits for what it brings and so need not be woken by another.

To hand something from thread to thread takes a fifth of a millisecond, and a tiny task would wait for that twice. Whoever serves the loop holds a lock,
but for the wait itself; who holds the lock may do meanwhile what a callback may.
"""

import os
import threading
from collections.abc import Callable, Container
from contextlib import suppress
from typing import Any, TypeVar

from pika.adapters.select_connection import EPollPoller, IOLoop, PollEvents

from dtqs.broker.loop.threads import ThreadLoop
from dtqs.deadline import Deadline

_PARK_SECONDS = 1.0
_KEPT_SECONDS = 0.1
"""So long the loop may be kept by a thread that is at work; then its own takes it back. The broker's heartbeats, and cancels, wait for no longer."""
_TURN_SECONDS = 0.02
T = TypeVar("T")


class _Unlocked:
    """An epoll object whose wait is done without the lock; what it brings of a socket that was given up meanwhile is dropped."""

    def __init__(self, poll: Any, lock: threading.Lock, known: Container[int]) -> None:
        self._poll, self._lock, self._known = poll, lock, known
        self.register, self.modify, self.unregister, self.close = (
            poll.register,
            poll.modify,
            poll.unregister,
            poll.close,
        )

    def poll(self, seconds: float) -> Any:
        self._lock.release()
        try:
            events = self._poll.poll(seconds)
        finally:
            self._lock.acquire()
        return [(descriptor, event) for descriptor, event in events if descriptor in self._known]


class _Poller(EPollPoller):  # type: ignore[misc]  # pika tells no types
    lock: threading.Lock
    _poll: Any
    _fd_handlers: Any

    def _init_poller(self) -> None:
        super()._init_poller()
        self._poll = _Unlocked(self._poll, self.lock, self._fd_handlers)


class SharedLoop(IOLoop):  # type: ignore[misc]
    """`start` is for its own thread, which parks while the other one has taken the loop: from `lead` until `release`, or until that is at work for long."""

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
            self._leading = True
            try:
                if self._taken or self._take():
                    self._serve_until(until, seconds)
            finally:
                self._leading = False

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

    @property
    def has_callbacks(self) -> bool:
        """Something was to be run on the loop and has not been yet."""
        return bool(self._callbacks)

    def _serve_until(self, until: Callable[[], bool], seconds: float) -> None:
        deadline, end = Deadline(seconds), self.call_later(seconds, _nothing)
        while not (until() or self._rang or deadline.passed):
            self._serve()
        self._rang = False
        self.remove_timeout(end)

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
        while self._taken:
            if not self._turn.wait(_KEPT_SECONDS) and not self._leading:
                self._taken = False
        self._parked = False

    def _hear_bell(self, *_: object) -> None:
        with suppress(BlockingIOError):  # heard already
            os.eventfd_read(self._bell)
            self._rang = True

    @staticmethod
    def _get_poller(get_wait_seconds: Callable[[], float | None], process_timeouts: Callable[[], None]) -> _Poller:
        return _Poller(get_wait_seconds=get_wait_seconds, process_timeouts=process_timeouts)


class SharedThreadLoop(ThreadLoop):
    """The loop with its thread, and what another may do with it. A `call` may wait for a tenth of a second, where the loop is kept by a thread at work."""

    _ioloop: SharedLoop

    def __init__(self, name: str) -> None:
        super().__init__(name, SharedLoop())

    def stop(self, deadline: Deadline) -> None:
        self.release()
        super().stop(deadline)

    def lead(self, until: Callable[[], bool], seconds: float) -> None:
        """Serve the loop in the calling thread until something has come about, `ring`, or for so long, and keep it from its own thread until `release`."""
        self._guard(lambda: self._ioloop.lead(until, seconds))

    def release(self) -> None:
        """Leave the loop to its own thread: the caller has other work."""
        self._ioloop.release()

    def ring(self) -> None:
        """Have `lead` return; safe in a signal handler."""
        self._ioloop.ring()

    def now(self, call: Callable[[], None]) -> None:
        """Run it in the calling thread, while the loop waits; it must need no timer, and nothing may interrupt it.

        Where the loop is busy, or something else is to be run before: as by `call`.
        """
        if not self._ioloop.lock.acquire(timeout=_TURN_SECONDS):
            self.call(call)
            return
        try:
            if self._ioloop.has_callbacks:
                self.call(call)
            else:
                call()
        finally:
            self._ioloop.lock.release()

    def ask(self, question: Callable[[Callable[[T], None]], None], deadline: Deadline) -> T:
        self.release()
        return super().ask(question, deadline)


def _nothing() -> None:
    """Let a wait end."""
