"""pika's loop, served by its own thread or by another thread that waits for a message and so needs no wake-up.

Passing a message between threads takes a fifth of a millisecond, and a tiny task would wait for that twice. The serving
thread holds a lock, except during the wait for events. A thread with the lock may do all that a callback may.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from pika.adapters.select_connection import PollEvents

from dtqs.broker.loop.pika_parts import LockedLoop
from dtqs.broker.loop.threads import ThreadLoop
from dtqs.deadline import Deadline

_PARK_SECONDS = 1.0
_KEPT_SECONDS = 0.1
"""How long a busy thread may keep the loop before the loop's own thread takes it back. Broker heartbeats and cancels
wait no longer.
"""
_TURN_SECONDS = 0.02
T = TypeVar("T")


class SharedLoop(LockedLoop):
    """`start` is for its own thread, which parks while another thread has the loop.

    The other thread has it from `lead` until `release`, or until it was busy for _KEPT_SECONDS.
    """

    def __init__(self) -> None:
        super().__init__()
        self._turn = threading.Condition(self.lock)
        self._taken = self._leading = self._parked = self._ended = self._rang = self._closed = False
        # signal handlers write to it; pika's own wake-up takes a lock
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.add_handler(self._bell, self._on_bell, PollEvents.READ)

    def start(self) -> None:
        """Serve the loop until `stop`."""
        with self.lock:
            self.activate_poller()
            try:
                while not self._ended:
                    self._park() if self._taken else self._serve()
            finally:
                self.deactivate_poller()

    def stop(self) -> None:
        """End `start`. Call it on the loop."""
        self._ended = True

    def close(self) -> None:
        """Safe to call twice."""
        if not self._closed:
            self._closed = True
            self.remove_handler(self._bell)
            os.close(self._bell)
            super().close()

    def lead(self, until: Callable[[], bool], seconds: float) -> None:
        """Serve the loop in the calling thread until `until()`, `ring` or the end of the time; keep it afterwards."""
        with self.lock:
            self._leading = True
            try:
                if self._taken or self._take():
                    self._serve_until(until, seconds)
            finally:
                self._leading = False

    def release(self) -> None:
        """Leave the loop to its own thread. It changes nothing during `lead`."""
        with self.lock:
            if self._taken and not self._leading:
                self._taken = False
                self._turn.notify_all()

    def ring(self) -> None:
        """End this or the next `lead`. Safe in a signal handler."""
        if not self._closed:
            os.eventfd_write(self._bell, 1)

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
        """Wait until its own thread has parked: of two polling threads each would take the other's events."""
        self._taken = True
        self.wake()
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

    def _on_bell(self, *_: object) -> None:
        with suppress(BlockingIOError):  # read already
            os.eventfd_read(self._bell)
            self._rang = True


class SharedThreadLoop(ThreadLoop):
    """The loop with its thread, for use by a second thread.

    A `call` may wait a tenth of a second if a busy thread keeps the loop.
    """

    _ioloop: SharedLoop

    def __init__(self, name: str) -> None:
        super().__init__(name, SharedLoop())

    def stop(self, deadline: Deadline) -> None:
        self.release()
        super().stop(deadline)

    def lead(self, until: Callable[[], bool], seconds: float) -> None:
        """Serve the loop in the calling thread until `until()`, `ring` or the end of the time.

        It keeps the loop until `release`.
        """
        self._guard(lambda: self._ioloop.lead(until, seconds))

    def release(self) -> None:
        """Leave the loop to its own thread."""
        self._ioloop.release()

    def ring(self) -> None:
        """End `lead`. Safe in a signal handler."""
        self._ioloop.ring()

    def now(self, call: Callable[[], None]) -> None:
        """Run in the calling thread while the loop waits. The call must not need a timer or be interrupted.

        If the loop is busy, or other calls wait for it, this is like `call`.
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
    """Do nothing: the timer that calls it ends a wait."""
